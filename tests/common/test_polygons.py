import numpy as np
import pytest

from mmseg_weakclip.apps.annotations.polygons import outline
from mmseg_weakclip.apps.annotations.regions import Region
from mmseg_weakclip.common.polygons import fill_polygon


def fill(ring, size):
    pixels, (top, left) = fill_polygon(np.asarray(ring), size)
    image = np.zeros(size, bool)
    height, width = pixels.shape
    image[top : top + height, left : left + width] = pixels
    return image


def naive(ring, size):
    """Cast a ray to the left from the centre of each pixel."""
    image = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y, inside = column + 0.5, row + 0.5, False
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0)):
                crosses = (y0 <= y) != (y1 <= y)
                if crosses and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    inside = not inside
            image[row, column] = inside
    return image


def test_a_box_by_hand():
    found = fill([[1, 0], [4, 0], [4, 2], [1, 2]], (3, 5))
    assert found.tolist() == [[0, 1, 1, 1, 0]] * 2 + [[0] * 5]


def test_neighbours_share_no_pixel():
    size = (6, 9)
    left = fill([[0, 0], [4.5, 0], [4.5, 6], [0, 6]], size)
    right = fill([[4.5, 0], [9, 0], [9, 6], [4.5, 6]], size)
    assert (left ^ right).all()


@pytest.mark.parametrize('seed', range(8))
def test_any_polygon(seed):
    """Also those that cross themselves, or reach out of the image."""
    rng = np.random.default_rng(seed)
    ring = rng.uniform(-4, 16, (rng.integers(3, 9), 2))
    if seed % 2:
        ring = ring.round()
    np.testing.assert_array_equal(fill(ring, (9, 13)), naive(ring, (9, 13)))


def test_outlines_of_this_package_come_back():
    rng = np.random.default_rng(0)
    image = np.kron(rng.random((5, 7)) < 0.6, np.ones((2, 3))) > 0
    found = np.zeros_like(image)
    for ring in outline(Region(1, image, 0, 0)):
        found ^= fill(ring, image.shape)
    np.testing.assert_array_equal(found, image)


def test_outside_of_the_image():
    assert not fill([[20, 0], [30, 0], [30, 9]], (4, 5)).any()
