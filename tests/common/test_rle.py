"""Run lengths as COCO's own library reads and writes them."""

import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.coco import segmentation_of
from mmseg_weakclip.apps.annotations.regions import Region
from mmseg_weakclip.common.rle import (
    compress_runs,
    decode_runs,
    encode_label_runs,
    encode_runs,
    expand_runs,
)


def naive_runs(mask):
    runs, value, count = [], 0, 0
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if mask[y, x] != value:
                runs.append(count)
                value, count = 1 - value, 0
            count += 1
    return [*runs, count]


@pytest.mark.parametrize('share', [0.0, 0.1, 0.5, 0.9, 1.0])
def test_random_masks(share):
    rng = np.random.default_rng(0)
    for height, width in [(1, 1), (3, 7), (11, 4), (60, 90)]:
        mask = rng.random((height, width)) < share
        assert encode_runs(mask) == naive_runs(mask)


@pytest.mark.parametrize('count', [1, 2, 9])
def test_runs_of_a_partition_are_those_of_its_masks(count):
    rng = np.random.default_rng(0)
    for size in [(1, 1), (1, 8), (11, 4), (60, 90)]:
        labels = rng.integers(-3, count, size)
        expected = [
            encode_runs(labels == label) for label in np.unique(labels)
        ]
        assert encode_label_runs(labels) == expected
        assert encode_label_runs(labels.astype(np.int16)) == expected
    # The smallest number of its type comes first.
    extreme = np.array([[0, 255], [0, 0]], np.uint8)
    assert encode_label_runs(extreme) == [[0, 2, 1, 1], [2, 1, 1]]


@pytest.mark.parametrize('kind', ['rle', 'compressed-rle'])
def test_cocos_own_library_reads_them(kind):
    library = pytest.importorskip('pycocotools.mask')
    pixels = np.random.default_rng(0).random((5, 7)) < 0.5
    size = (11, 13)
    entry = segmentation_of(Region(1, pixels, 3, 2), size, kind)
    if kind == 'rle':
        entry = library.frPyObjects(entry, *size)
    expected = np.zeros(size, np.uint8)
    expected[2:7, 3:10] = pixels
    assert np.array_equal(library.decode(entry), expected)


def test_by_hand():
    assert encode_runs(np.array([[0, 1, 1], [0, 1, 0]])) == [2, 3, 1]
    assert encode_runs(np.ones((2, 2))) == [0, 4]


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize('size', [(1, 1), (3, 7), (300, 210)])
def test_text_of_cocos_own_library(share, size):
    library = pytest.importorskip('pycocotools.mask')
    mask = np.random.default_rng(0).random(size) < share
    mask[: size[0] // 2] = False
    runs = encode_runs(mask)
    text = compress_runs(runs)
    theirs = library.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert text == theirs['counts'].decode()
    assert expand_runs(text) == runs
    assert np.array_equal(decode_runs(runs, size), mask)


def test_text_by_hand():
    """40 is 01000, more, 00001; the fourth is -1 from the second: 11111."""
    assert compress_runs([1, 4, 40, 3]) == '14X1O'
    assert expand_runs('14X1O') == [1, 4, 40, 3]


@pytest.mark.parametrize(
    ('text', 'message'), [('14X', 'end within'), ('1 4', "character ' '")]
)
def test_wrong_texts(text, message):
    with pytest.raises(ValueError, match=message):
        expand_runs(text)


@pytest.mark.parametrize('runs', [[3, 2], [4, 4, -2], []])
def test_wrong_runs(runs):
    with pytest.raises(ValueError, match='not those of 2 x 3'):
        decode_runs(runs, (2, 3))
