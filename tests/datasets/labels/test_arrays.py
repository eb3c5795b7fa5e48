import collections
import json
import os
import pickle

import numpy as np
import pytest

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.datasets.labels.formats import read_image_labels
from mmseg_weakclip.datasets.labels.readers.arrays import load_object_array

CLASSES = ('background', 'cat', 'dog', 'bird')
COCO = VOCABULARIES['coco']
COCO91 = VOCABULARIES['coco91']


def save(path, data, protocol=None) -> str:
    """Like np.save of a dict, with any pickle protocol."""
    if protocol is None:
        np.save(path, data)
        return str(path)
    with open(path, 'wb') as file:
        array = np.array(data, dtype=object)
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(array, file, protocol=protocol)
    return str(path)


@pytest.mark.parametrize('protocol', [None, 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize('dtype', [np.float32, np.int64, np.uint8, bool])
def test_every_pickle_protocol_and_type(tmp_path, protocol, dtype):
    data = {'a': np.array([1, 0, 1], dtype), 'b': np.zeros(3, dtype)}
    path = save(tmp_path / 'cls_labels.npy', data, protocol)
    labels = read_image_labels(path, CLASSES)
    assert dict(labels.labels) == {'a': (0, 2), 'b': ()}


def test_keys(tmp_path):
    hot = np.array([0, 1, 0])
    data = {
        '2007_000032': hot,
        2008000001: hot,
        np.int64(391895): hot,
        b'bytes': hot,
        np.str_('numpy'): hot,
        'plain.jpg': [0, 1, 0],
    }
    path = save(tmp_path / 'cls_labels.npy', data)
    labels = read_image_labels(path, CLASSES)
    assert set(labels.labels) == {
        '2007_000032',
        '2008_000001',
        '000000391895',
        'bytes',
        'numpy',
        'plain',
    }
    assert set(labels.labels.values()) == {(1,)}


@pytest.mark.parametrize('protocol', [0, 2])
def test_files_of_old_numpy(tmp_path, protocol):
    path = tmp_path / 'cls_labels.npy'
    save(path, {np.int64(9): np.array([0.0, 1.0, 0.0])}, protocol)
    content = path.read_bytes()
    old = content.replace(b'numpy._core.', b'numpy.core.')
    path.write_bytes(old)
    assert read_image_labels(path, CLASSES)['000000000009'] == (1,)
    path.write_bytes(old.replace(b'numpy.core.', b'numpy._core.'))
    assert read_image_labels(path, CLASSES)['000000000009'] == (1,)


def test_ordered_dict(tmp_path):
    data = collections.OrderedDict(a=np.array([1, 0, 0]))
    path = save(tmp_path / 'cls_labels.npy', data)
    assert read_image_labels(path, CLASSES)['a'] == (0,)


def test_background_column(tmp_path):
    data = {'a': np.array([1, 0, 1, 0]), 'b': np.array([1, 0, 0, 0])}
    path = save(tmp_path / 'cls_labels.npy', data)
    labels = read_image_labels(path, CLASSES)
    assert dict(labels.labels) == {'a': (1,), 'b': ()}


@pytest.mark.parametrize('width', [80, 81, 90, 91])
def test_coco_widths_mean_the_same_classes(tmp_path, width):
    hot = np.zeros(width, np.float32)
    names = COCO if width in (80, 81) else COCO91
    for name in ('stop sign', 'toothbrush'):
        hot[names.index(name) + width % 10] = 1
    path = save(tmp_path / 'cls_labels.npy', {391895: hot})
    labels = read_image_labels(path, COCO)
    assert labels.names('000000391895') == ('stop sign', 'toothbrush')


def test_class_that_coco_never_annotates(tmp_path):
    hot = np.zeros(90)
    hot[COCO91.index('street sign')] = 1
    path = save(tmp_path / 'cls_labels.npy', {9: hot})
    with pytest.raises(ValueError, match="'street sign'.*'000000000009'"):
        read_image_labels(path, COCO)
    assert read_image_labels(path, COCO91)['000000000009'] == (11,)


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ({'a': np.zeros(5)}, '5 columns for 3 foreground.*3 or 4'),
        ({'a': np.zeros(3), 'b': np.zeros(4)}, "'b' has shape"),
        ({'a': np.array([0, 0.5, 1])}, r"'a' has values.*0\.5"),
        ({'a': np.array([0, np.nan, 1])}, "'a' has values"),
        ({'a': np.array([0, 2, 1])}, "'a' has values"),
        ({'a': np.array(['0', '1', '1'])}, "'a' has shape"),
        ({1.5: np.zeros(3)}, '1.5 is not an image id'),
        ({True: np.zeros(3)}, 'True is not an image id'),
        ({}, 'not a dict of labels'),
        ([np.zeros(3)], 'expected'),
    ],
)
def test_bad_content(tmp_path, data, message):
    path = save(tmp_path / 'cls_labels.npy', data)
    with pytest.raises(ValueError, match=message) as caught:
        read_image_labels(path, CLASSES)
    assert 'cls_labels.npy' in str(caught.value)


class Evil:
    """Pickles as a call of any function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_malicious_pickle_is_refused_unrun(tmp_path, protocol):
    trace = tmp_path / 'trace'
    path = tmp_path / 'cls_labels.npy'
    save(path, {'a': Evil(os.mkdir, str(trace))}, protocol)
    with pytest.raises(ValueError, match=r'cls_labels\.npy.*mkdir.*run'):
        read_image_labels(path, CLASSES)
    assert not trace.exists()
    # The file is a working attack: numpy's own loader runs it.
    np.load(path, allow_pickle=True)
    assert trace.exists()


@pytest.mark.parametrize(
    'evil',
    [
        Evil(eval, '1'),
        Evil(getattr, 'a', 'b'),
        Evil(np.load, 'x'),
        Evil(np.memmap, 'x'),
        Evil(__import__, 'os'),
    ],
)
def test_only_array_builders_are_admitted(tmp_path, evil):
    path = save(tmp_path / 'cls_labels.npy', {'a': evil})
    with pytest.raises(ValueError, match='which is not allowed'):
        load_object_array(path)


def test_other_files(tmp_path):
    path = tmp_path / 'cls_labels.npy'
    path.write_bytes(b'hello')
    with pytest.raises(ValueError, match=r'cls_labels\.npy is not an \.npy'):
        read_image_labels(path, CLASSES)
    np.save(path, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r'float64, shape \(4, 3\)'):
        read_image_labels(path, CLASSES)
    save(path, {'a': np.zeros(3)})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r'cls_labels\.npy was not loaded'):
        read_image_labels(path, CLASSES)


def test_classes_are_needed(tmp_path):
    path = save(tmp_path / 'cls_labels.npy', {'a': np.zeros(3)})
    with pytest.raises(ValueError, match='class list'):
        read_image_labels(path)


def test_real_file_agrees_with_the_names(voc_root):
    labels = read_image_labels(
        voc_root / 'cls_labels_onehot.npy', VOCABULARIES['voc']
    )
    names = json.loads((voc_root / 'image_labels.json').read_text())
    assert {i: sorted(labels.names(i)) for i in labels.labels} == {
        i: sorted(n) for i, n in names.items()
    }
