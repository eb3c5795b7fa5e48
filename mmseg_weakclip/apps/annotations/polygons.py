"""Outlines of regions along the edges of their pixels.

Corners are whole numbers: a pixel in column x and row y is the square from
(x, y) to (x + 1, y + 1). Filled by the even-odd rule at the centres of
pixels, an outline gives back its region exactly.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from .regions import Region

# OpenCV runs through the centres of border pixels. Of pixels enlarged to
# 3 x 3, these are a third of a pixel beside the edges, so that rounding finds
# the edge, whichever side the region is on.
ENLARGE = 3


def outline(region: Region) -> list[np.ndarray]:
    """Return the polygons of a region, without holes.

    A hole is joined to its outer ring by a bridge: a line that is run
    through twice, to the hole and back, and has no area.

    Returns:
        A ring for each part that touches no other, corners (x, y) in the
        image, int, (M, 2), the first not repeated; by their highest, then
        leftmost corner.
    """
    enlarged = np.kron(
        region.pixels.astype(np.uint8), np.ones((ENLARGE,) * 2, np.uint8)
    ).astype(np.uint8)
    contours, hierarchy = cv2.findContours(
        enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    rings = [_corners(contour[:, 0]) for contour in contours]
    parents = hierarchy[0, :, 3].tolist()
    holes: dict[int, list[np.ndarray]] = {
        index: [] for index, parent in enumerate(parents) if parent < 0
    }
    for ring, parent in zip(rings, parents):
        if parent >= 0:
            holes[parent].append(ring)
    offset = np.array([region.left, region.top])
    polygons = [
        join_holes(rings[index], inner) + offset
        for index, inner in holes.items()
    ]
    return sorted(polygons, key=lambda ring: ring[:, ::-1].tolist())


def join_holes(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join a polygon and its holes into one ring.

    Each hole hangs on the nearest corner of the outer ring or of a hole
    further left.

    Args:
        outer: Corners of the outer ring, (M, 2).
        holes: Corners of each hole, (M, 2) each.

    Returns:
        Corners of the joined ring, (M', 2). Outer ring and holes go round in
        opposite directions, so that fills by winding number spare holes, too.
    """
    rings = [outer if signed_area(outer) > 0 else outer[::-1]]
    for hole in holes:
        hole = hole if signed_area(hole) < 0 else hole[::-1]
        leftmost = np.lexsort(hole.T[::-1])[0]
        rings.append(np.roll(hole, -leftmost, 0))
    rings[1:] = sorted(rings[1:], key=lambda ring: ring[0].tolist())
    corners = np.concatenate(rings)
    starts = np.cumsum([0, *map(len, rings)])
    hung: dict[int, list[int]] = {}
    for index in range(1, len(rings)):
        known = corners[: starts[index]]
        distance = np.abs(known - rings[index][0]).sum(1)
        hung.setdefault(int(distance.argmin()), []).append(index)

    def visit(index: int) -> Iterator[tuple[str, int]]:
        first, behind = int(starts[index]), int(starts[index + 1])
        for corner in range(first, behind):
            yield 'corner', corner
            for hole in hung.get(corner, ()):
                yield 'ring', hole
                yield 'corner', corner
        if index:
            yield 'corner', first

    # Not recursive: holes may hang on holes on holes.
    order, stack = [], [visit(0)]
    while stack:
        kind, value = next(stack[-1], ('end', 0))
        if kind == 'corner':
            order.append(value)
        elif kind == 'ring':
            stack.append(visit(value))
        else:
            stack.pop()
    return corners[order]


def signed_area(ring: np.ndarray) -> float:
    """Return the area of a ring (M, 2), signed by its direction."""
    x, y = ring.T.astype(float)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _corners(contour: np.ndarray) -> np.ndarray:
    """Return pixel corners next to a contour of enlarged pixels, (M, 2)."""
    points = np.round(contour / ENLARGE).astype(int)
    points = points[(points != np.roll(points, 1, 0)).any(1)]
    before = points - np.roll(points, 1, 0)
    after = np.roll(points, -1, 0) - points
    # Only steps along different axes make a corner.
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns]
