"""Classes that a mask has lost, from an earlier mask of the image."""

import numpy as np
import pytest

from mmseg_weakclip.common.masks import encode_mask
from mmseg_weakclip.pseudo_masks.lost_classes import keep_lost_classes


@pytest.fixture
def earlier(tmp_path):
    """Writes the earlier mask; its file."""

    def write(mask):
        path = tmp_path / 'a.png'
        path.write_bytes(encode_mask(np.asarray(mask, np.uint8), [[0, 0, 0]]))
        return path

    return write


def keep(mask, classes, earlier):
    filled, kept = keep_lost_classes(
        np.asarray(mask, np.uint8), classes, earlier
    )
    return filled.tolist(), kept


def test_a_lost_class_is_taken_and_no_other(earlier):
    path = earlier([[1, 2, 2, 0], [1, 0, 2, 5]])
    # 1 is lost; 2 is not, and keeps its new pixels; 5 is no class of it.
    found = keep([[0, 0, 2, 2], [2, 0, 255, 2]], (0, 1, 2, 3), path)
    assert found == ([[1, 0, 2, 2], [1, 0, 255, 2]], [1])


def test_nothing_is_lost(earlier, tmp_path):
    mask = [[0, 1], [2, 255]]
    path = tmp_path / 'not_there.png'
    assert keep(mask, (0, 1, 2), path) == (mask, [])
    # Neither has it.
    assert keep(mask, (0, 3), earlier([[1, 1], [2, 2]])) == (mask, [])


def test_what_is_taken_is_not_all_of_another_class(earlier):
    """Else one tag is found and the other lost instead."""
    mask = [[0, 2], [0, 2]]
    found = keep(mask, (0, 1, 2), earlier([[0, 1], [1, 1]]))
    assert found == ([[0, 2], [1, 2]], [1])
    assert keep(mask, (1, 2), earlier([[0, 1], [0, 1]])) == (mask, [])


def test_unfit_masks(earlier, tmp_path):
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r'gone\.png does not exist.*of gone'):
        keep_lost_classes(mask, (0, 1), tmp_path / 'gone.png')
    with pytest.raises(ValueError, match=r'has \(1, 3\) pixels.*of a has'):
        keep_lost_classes(mask, (0, 1), earlier([[1, 1, 1]]))
