"""Regions of a mask, in an order that stays."""

import numpy as np

from mmseg_weakclip.apps.annotations.regions import Region, connected_regions

MASK = np.array(
    [
        [0, 2, 2, 0, 1],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 255, 0],
        [2, 0, 0, 0, 2],
    ],
    np.uint8,
)


def described(**kwargs):
    return [
        (region.class_id, region.bbox, region.area)
        for region in connected_regions(MASK, [1, 2, 3], **kwargs)
    ]


def test_components():
    """By class, then by first pixel; corners touch."""
    assert described() == [
        (1, [4, 0, 1, 2], 2),
        (1, [0, 1, 2, 2], 2),
        (2, [1, 0, 2, 1], 2),
        (2, [0, 3, 1, 1], 1),
        (2, [4, 3, 1, 1], 1),
    ]


def test_classes():
    assert described(unit='class') == [
        (1, [0, 0, 5, 3], 4),
        (2, [0, 0, 5, 4], 4),
    ]


def test_small_ones_are_left_out():
    assert [entry[2] for entry in described(min_area=2)] == [2, 2, 2]
    assert described(unit='class', min_area=5) == []


def test_pasted_together_they_are_the_mask():
    image = np.zeros(MASK.shape, np.uint8)
    for region in connected_regions(MASK, [1, 2]):
        region.paste(image, region.class_id)
    assert np.array_equal(image, np.where(MASK == 255, 0, MASK))


def test_paste_of_colors():
    image = np.zeros((3, 3, 3), np.uint8)
    Region(1, np.array([[True, False]]), 1, 2).paste(
        image, np.array([1, 2, 3])
    )
    assert image[2, 1].tolist() == [1, 2, 3]
    assert image.sum() == 6
