"""Masks as PNGs: one per image with an id per pixel, or one per class."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmseg_weakclip.common.masks import check_mask_ids, read_mask

from .source import (
    OPEN,
    FolderMasks,
    Segment,
    Size,
    check_size,
    paint_segments,
)

IGNORED = 255


@dataclass(frozen=True)
class IndexMasks(FolderMasks):
    """Palette or grey PNGs; 0 is the background, 255 is left open."""

    title: ClassVar[str] = 'PNGs with an id per pixel'

    def read(
        self, image: str, sizes: Sequence[Size], allowed: Collection[int]
    ) -> np.ndarray:
        """Return the mask of an image; see :class:`OutsideMasks`."""
        (file,) = self.files[image]
        path = str(file.path)
        mask = read_mask(path)
        check_size(mask.shape, path, image, sizes)
        try:
            check_mask_ids(mask, path, range(len(self.names) + 1))
        except ValueError as error:
            raise ValueError(
                f'{error} If so, list their names in the order of their ids '
                'by --seed-classes.'
            ) from error
        values = mask.astype(np.int32)
        values[mask == IGNORED] = OPEN
        return values


@dataclass(frozen=True)
class ClassMasks(FolderMasks):
    """PNGs of one class or object each, whose pixels are all but the 0s."""

    title: ClassVar[str] = 'PNGs of one class each'
    draws_background: ClassVar[bool] = False

    def read(
        self, image: str, sizes: Sequence[Size], allowed: Collection[int]
    ) -> np.ndarray:
        """Return the mask of an image; see :class:`OutsideMasks`."""
        segments = []
        for file in self.files[image]:
            mask = read_mask(str(file.path))
            check_size(mask.shape, str(file.path), image, sizes)
            segments.append(Segment(mask != 0, file.value))
        shapes = {segment.pixels.shape for segment in segments}
        if len(shapes) > 1:
            raise ValueError(
                f'The masks of {image} have several sizes: {sorted(shapes)} '
                '(height x width).'
            )
        return paint_segments(segments[0].pixels.shape, segments, allowed)
