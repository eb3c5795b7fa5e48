import json
import os
from pathlib import Path

import pytest

from mmseg_weakclip.datasets.labels.image_labels import (
    ImageLabels,
    LabelCollector,
    canonical_image_id,
)

LABELS = ImageLabels(('cat', 'dog'), {'b': (0, 1), 'a': (1,), 'c': ()}, 'src')


@pytest.mark.parametrize(
    ('key', 'image_id'),
    [
        ('2007_000032', '2007_000032'),
        (2007000032, '2007_000032'),
        (2012000009, '2012_000009'),
        (391895, '000000391895'),
        ('COCO_train2014_000000000009', '000000000009'),
        ('train2014/COCO_train2014_000000000009.jpg', '000000000009'),
        ('JPEGImages/x.1.JPG', 'x.1'),
        ('version.2', 'version.2'),
        (' a.png ', 'a'),
    ],
)
def test_canonical_image_id(key, image_id):
    assert canonical_image_id(key) == image_id


def test_access():
    assert LABELS['b'] == (0, 1)
    assert LABELS.names('a') == ('dog',)
    assert LABELS['c'] == ()
    assert LABELS.counts() == {'cat': 1, 'dog': 2}
    assert 'a' in LABELS
    assert 'z' not in LABELS


def test_coco_file_names_find_plain_ids():
    labels = ImageLabels(('cat',), {'000000000009': (0,)}, 'src')
    assert labels['COCO_train2014_000000000009'] == (0,)


def test_missing_image_names_image_and_file():
    with pytest.raises(ValueError, match=r"src has no labels for image 'z'"):
        LABELS['z']


def test_other_class_list_maps_by_name():
    other = LABELS.for_classes(['background', 'bird', 'Dog', 'cat'])
    assert other.classes == ('bird', 'Dog', 'cat')
    assert dict(other.labels) == {'a': (1,), 'b': (1, 2), 'c': ()}


def test_class_that_the_list_lacks_is_an_error_only_if_shown():
    unused = ImageLabels(('cat', 'ox'), {'a': (0,)}, 'src')
    assert unused.for_classes(['cat'])['a'] == (0,)
    with pytest.raises(ValueError, match=r"src.*'dog' \(2x.*'[ab]'"):
        LABELS.for_classes(['cat'])


def test_subset():
    assert list(LABELS.subset(['c', 'a', 'c']).labels) == ['c', 'a']
    with pytest.raises(ValueError, match="2 of 3.*'y'"):
        LABELS.subset(['a', 'y', 'z'])


def test_saved_file_is_sorted_and_stable(tmp_path):
    path = tmp_path / 'new' / 'labels.json'
    LABELS.save(path)
    first = path.read_bytes()
    data = json.loads(first)
    assert list(data['labels']) == ['a', 'b', 'c']
    assert data == {
        'classes': ['cat', 'dog'],
        'labels': {'a': ['dog'], 'b': ['cat', 'dog'], 'c': []},
    }
    ImageLabels(
        LABELS.classes, dict(reversed(LABELS.labels.items())), ''
    ).save(path)
    assert path.read_bytes() == first


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'labels.json'
    path.write_text('old')

    def full_disk(*paths):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full_disk)
    with pytest.raises(OSError, match='labels.json .*No space'):
        LABELS.save(path)
    assert path.read_text() == 'old'
    assert list(Path(tmp_path).iterdir()) == [path]


def test_collector_names_every_unknown_class():
    collector = LabelCollector('file.csv', ['cat', 'horse'])
    collector.add('a', [collector.find('hrose', 'a', 'line 1')])
    collector.add('b', [collector.find('hrose', 'b')])
    collector.add('c', [collector.find('zzz', 'c')])
    with pytest.raises(ValueError) as caught:
        collector.result()
    message = str(caught.value)
    assert 'file.csv' in message
    assert "'hrose' (2x, first for image 'a', line 1" in message
    assert 'nearest: horse' in message
    assert "'zzz'" in message


def test_collector_refuses_contradictions_and_nothing():
    collector = LabelCollector('file', ['cat', 'dog'])
    with pytest.raises(ValueError, match='file holds labels of no image'):
        collector.result()
    collector.add('a.jpg', [1, 0])
    collector.add('a', [0, 1, 1])
    with pytest.raises(ValueError, match="file gives image 'a' two"):
        collector.add('a', [0])
    with pytest.raises(ValueError, match="class 2 of image 'x'"):
        collector.check_index(2, 'x')
