"""Filling of polygons: pixels whose centres lie inside."""

import numpy as np


def fill_polygon(
    ring: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels of a polygon by the even-odd rule.

    A pixel in column x and row y is the square from (x, y) to (x + 1, y + 1).
    It belongs to the polygon if its centre lies inside; centres on the left
    or upper edge do, those on the right or lower edge do not.

    Args:
        ring: Corners (x, y), (M, 2); the first is not repeated.
        size: Height and width of the image; what lies outside is cut off.

    Returns:
        Pixels in the polygon's box, bool, (h, w), and the row and column of
        the box's first pixel.
    """
    corners = np.asarray(ring, np.float64)
    limits = np.array(size[::-1])
    low = np.clip(np.floor(corners.min(0)), 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(0)), low, limits).astype(int)
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    crossings = np.zeros((height, width + 1), np.int32)
    corners = corners - low
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0)):
        first, last = np.ceil(np.sort([y0, y1]) - 0.5).clip(0, height)
        rows = np.arange(int(first), int(last))
        if not len(rows):
            continue
        columns = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.ceil(columns - 0.5).clip(0, width).astype(int)
        crossings[rows, columns] += 1
    return crossings.cumsum(1)[:, :width] % 2 == 1, (top, left)
