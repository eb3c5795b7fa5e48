"""The regions of a mask, each of one class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

UNITS = ('component', 'class')
CONNECTIVITY = 8
# Pixels of a bounding box, its first column and its first row.
Piece = tuple[np.ndarray, int, int]


@dataclass(frozen=True)
class Region:
    """Pixels of one class.

    Attributes:
        class_id: Class id in the mask.
        pixels: Which pixels of its bounding box belong to it, bool, (h, w).
        left: First column of the box in the image.
        top: First row of the box in the image.
    """

    class_id: int
    pixels: np.ndarray
    left: int
    top: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.pixels.sum())

    @property
    def bbox(self) -> list[int]:
        """Left, top, width and height."""
        height, width = self.pixels.shape
        return [self.left, self.top, width, height]

    def paste(self, image: np.ndarray, value: int | np.ndarray) -> None:
        """Write a value at its pixels into an image (H, W, ...)."""
        height, width = self.pixels.shape
        rows = slice(self.top, self.top + height)
        image[rows, self.left : self.left + width][self.pixels] = value


def connected_regions(
    mask: np.ndarray,
    class_ids: Iterable[int],
    unit: str = 'component',
    min_area: int = 1,
) -> Iterator[Region]:
    """Cut a mask into regions.

    Args:
        mask: Ids, uint8, (H, W).
        class_ids: Ids that are classes; others, such as those of the
            background and of ignored pixels, are in no region.
        unit: ``'component'``: pixels that touch, at corners too;
            ``'class'``: all pixels of a class.
        min_area: Fewest pixels of a region; smaller ones are left out.

    Yields:
        Regions, by class, then by their first pixel, row by row.
    """
    for class_id in sorted(class_ids):
        own = mask == class_id
        if not own.any():
            continue
        pieces = _whole(own) if unit == 'class' else _components(own)
        for pixels, left, top in pieces:
            region = Region(class_id, pixels, left, top)
            if region.area >= min_area:
                yield region


def _whole(own: np.ndarray) -> Iterator[Piece]:
    """Yield all pixels as one piece, with the place of their box."""
    rows, columns = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
    box = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    yield box.copy(), int(columns[0]), int(rows[0])


def _components(own: np.ndarray) -> Iterator[Piece]:
    """Yield each set of pixels that touch, with the place of its box."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        own.astype(np.uint8), connectivity=CONNECTIVITY
    )
    # OpenCV's numbering is not documented; sort by the first pixel.
    found, first = np.unique(labels, return_index=True)
    for label in found[np.argsort(first)]:
        if label:
            left, top, width, height = stats[label, :4].tolist()
            box = labels[top : top + height, left : left + width]
            yield box == label, left, top
