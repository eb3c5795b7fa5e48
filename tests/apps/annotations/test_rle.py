"""COCO's run lengths beside a pixel by pixel count."""

import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.rle import (
    compress_runs,
    decode_runs,
    decompress_runs,
    encode_runs,
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
        runs = encode_runs(mask)
        assert runs == naive_runs(mask)
        assert np.array_equal(decode_runs(runs, mask.shape), mask)
        assert decompress_runs(compress_runs(runs)) == runs


def test_by_hand():
    mask = np.array([[0, 1, 1], [0, 1, 0]])
    assert encode_runs(mask) == [2, 3, 1]
    # '2', '3', '1' are single groups of five bits, from '0' on.
    assert compress_runs([2, 3, 1]) == '231'
    # 100 = 3 * 32 + 4: the group 4 with the bit of another, then 3.
    assert compress_runs([100]) == chr(48 + 32 + 4) + '3'
    # 16 has the sign's bit in its only group, and needs a second one.
    assert compress_runs([16]) == chr(48 + 32 + 16) + '0'
    # The fourth is told by its difference to the second, -2 = 30 of 32.
    assert compress_runs([1, 5, 1, 3]) == '151' + chr(48 + 30)
    assert decompress_runs('151' + chr(48 + 30)) == [1, 5, 1, 3]


def test_what_cocos_own_library_writes():
    """What pycocotools 2.0.11 writes of a frame."""
    mask = np.zeros((20, 12), np.uint8)
    mask[2:18, 3:11] = 1
    mask[5:9, 4:9] = 0
    text = 'n1`04C060J060J060J060J060700b0'
    assert compress_runs(encode_runs(mask)) == text
    assert np.array_equal(
        decode_runs(decompress_runs(text), mask.shape), mask == 1
    )


def test_wrong_size():
    with pytest.raises(ValueError, match='6 pixels for a mask of 2 x 2'):
        decode_runs([1, 5], (2, 2))
