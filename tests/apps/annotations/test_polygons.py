"""Outlines, filled again."""

import cv2
import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.polygons import (
    join_holes,
    outline,
    signed_area,
)
from mmseg_weakclip.apps.annotations.regions import connected_regions


def fill(ring, shape, rule='even-odd'):
    """Pixels whose centre is in a ring, edge by edge."""
    height, width = shape
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    crossed = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0)):
        for row in np.flatnonzero((y0 > y) != (y1 > y)):
            at = x0 + (y[row] - y0) * (x1 - x0) / (y1 - y0)
            step = 1 if rule == 'even-odd' or y1 > y0 else -1
            crossed[row] += step * (at > x)
    return crossed % 2 == 1 if rule == 'even-odd' else crossed != 0


def rings_of(mask, unit='component'):
    return [outline(region) for region in connected_regions(mask, [1], unit)]


def as_mask(*rows):
    return np.array([[int(c) for c in row] for row in rows], np.uint8)


@pytest.mark.parametrize('rule', ['even-odd', 'winding'])
@pytest.mark.parametrize('share', [0.2, 0.5, 0.7, 0.9])
def test_random_masks_come_back_exactly(share, rule):
    """With holes, islands in holes, pixels that touch at corners."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        mask = (rng.random(rng.integers(1, 13, 2)) < share).astype(np.uint8)
        found = np.zeros(mask.shape, bool)
        for rings in rings_of(mask):
            (ring,) = rings
            own = fill(ring, mask.shape, rule)
            assert not (own & found).any()
            found |= own
        assert np.array_equal(found, mask == 1)


def test_smooth_shapes_come_back_exactly():
    noise = np.random.default_rng(0).random((70, 90)).astype(np.float32)
    mask = (cv2.GaussianBlur(noise, (0, 0), 3) > 0.5).astype(np.uint8)
    found = np.zeros(mask.shape, bool)
    for (ring,) in rings_of(mask):
        found |= fill(ring, mask.shape)
    assert np.array_equal(found, mask == 1)


def test_rectangle_by_hand():
    mask = np.zeros((6, 9), np.uint8)
    mask[2:5, 3:8] = 1
    ((ring,),) = rings_of(mask)
    assert len(ring) == 4
    assert {tuple(c) for c in ring.tolist()} == {
        (3, 2),
        (8, 2),
        (8, 5),
        (3, 5),
    }


def test_one_pixel_and_the_whole_image():
    ((ring,),) = rings_of(as_mask('000', '010'))
    assert sorted(ring.tolist()) == [[1, 1], [1, 2], [2, 1], [2, 2]]
    ((ring,),) = rings_of(np.ones((3, 4), np.uint8))
    assert sorted(ring.tolist()) == [[0, 0], [0, 3], [4, 0], [4, 3]]


def test_hole_has_a_bridge_without_area():
    mask = np.ones((5, 7), np.uint8)
    mask[2, 2:4] = 0
    ((ring,),) = rings_of(mask)
    # Four corners each, and one of each once more.
    assert len(ring) == 10
    assert abs(signed_area(ring)) == 35 - 2
    assert not fill(ring, mask.shape)[2, 2:4].any()


def test_island_in_a_hole_is_a_region_of_its_own():
    mask = as_mask('11111', '10001', '10101', '10001', '11111')
    outer, island = rings_of(mask)
    assert abs(signed_area(outer[0])) == 16
    assert abs(signed_area(island[0])) == 1


def test_parts_of_a_class():
    mask = as_mask('11000', '00000', '00011')
    (rings,) = rings_of(mask, 'class')
    assert [ring.min(0).tolist() for ring in rings] == [[0, 0], [3, 2]]


def test_holes_hang_on_holes():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    outer = square * 100
    holes = [square + [10 * i, 50] for i in range(1, 9)]
    ring = join_holes(outer, holes)
    assert len(ring) == 4 + 8 * 6
    assert abs(signed_area(ring)) == 10000 - 8
    # Not all from one corner: no bridge is longer than it must be.
    steps = np.abs(np.diff(ring, axis=0)).sum(1)
    assert np.sort(steps)[-20:].max() <= 100
    assert sorted(join_holes(outer, holes[::-1]).tolist()) == sorted(
        ring.tolist()
    )
