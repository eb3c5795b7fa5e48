"""Agreement of masks and counts of tags, on masks worked by hand."""

import numpy as np
import pytest

from mmseg_weakclip.apps.compare.measures import (
    agreement,
    agreements,
    count_tags,
    labelled_share,
    mean_iou,
)

A = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
B = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


def test_agreement_by_hand():
    """Five pixels count: three are the same. Class 0: one of both, three of
    either; class 1: two of both, four of either."""
    found = agreement([A], [B], 2)
    assert found.pixels == pytest.approx(3 / 5)
    assert found.miou == pytest.approx(100 * (1 / 3 + 2 / 4) / 2)
    turned = agreement([B], [A], 2)
    assert (turned.pixels, turned.miou) == (found.pixels, found.miou)


def test_photos_count_alike_in_the_mean_of_pixels():
    large = np.zeros((40, 30), np.uint8)
    found = agreement([A, large], [B, large], 2)
    assert found.pixels == pytest.approx((3 / 5 + 1) / 2)
    # But each pixel in the IoU.
    zero = (1 + 1200) / (3 + 1200)
    assert found.miou == pytest.approx(100 * (zero + 2 / 4) / 2)


def test_nothing_to_compare():
    empty = np.full((2, 3), 255, np.uint8)
    found = agreement([A], [empty], 2)
    assert found.pixels is None
    assert found.miou is None
    assert mean_iou([], [], 2) is None


def test_unsure_pixels_are_wrong_in_scores():
    """Of class 0, one of four pixels is found; of class 1, one of two."""
    truth = np.array([[0, 0, 0], [0, 1, 1], [255, 255, 255]], np.uint8)
    mask = np.array([[0, 255, 255], [255, 1, 255], [0, 1, 255]], np.uint8)
    assert mean_iou([mask], [truth], 2) == pytest.approx(
        100 * (1 / 4 + 1 / 2) / 2
    )
    # The truth's own pixels without a class do not count.
    sure = np.where(truth == 255, 0, truth)
    assert mean_iou([sure], [truth], 2) == 100
    empty = np.full_like(truth, 255)
    assert mean_iou([empty], [truth], 2) == 0
    assert mean_iou([truth], [empty], 2) is None
    # Nor do photos without a label raise the score of the others.
    assert mean_iou([sure, empty], [truth, truth], 2) == 50


def test_share_of_labelled_pixels():
    empty = np.full((40, 30), 255, np.uint8)
    assert labelled_share([A, B]) == pytest.approx((5 / 6 + 1) / 2)
    assert labelled_share([B, empty]) == 0.5


def test_pairs():
    found = agreements([[A], [B], [A]], 2)
    assert sorted(found) == [(0, 1), (0, 2), (1, 2)]
    assert found[0, 2].pixels == 1
    assert found[0, 2].miou == 100
    assert found[0, 1] == agreement([A], [B], 2)


def test_tags_by_hand():
    """Shares of class 1: none, 3 of 1,000, half, all but 5 %."""
    masks = [np.zeros((20, 50), np.uint8) for _ in range(5)]
    masks[1][0, :3] = 1
    masks[2][:10] = 1
    masks[3][1:] = 1
    # Class 2 is no tag of the last photo.
    masks[4][:] = 2
    found = count_tags(masks, [(1,), (1,), (1, 2), (1,), ()], 3)
    one = found[1]
    assert (one.photos, one.missed, one.tiny, one.everywhere) == (4, 1, 1, 1)
    assert one.median == pytest.approx((0.003 + 0.5) / 2)
    assert (found[2].photos, found[2].missed) == (1, 1)
    assert sorted(found) == [1, 2]
