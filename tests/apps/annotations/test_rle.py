"""Run lengths as COCO's own library reads and writes them."""

import sys

import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.coco import (
    encode_runs,
    mask_library,
    segmentation_of,
)
from mmseg_weakclip.apps.annotations.regions import Region


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


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pycocotools.mask', None)
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[convert\]'):
        mask_library()
