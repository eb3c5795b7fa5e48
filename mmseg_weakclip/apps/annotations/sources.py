"""Masks, their images and their classes, before anything is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_weakclip.common.images import read_image_size
from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    read_mask,
)
from mmseg_weakclip.common.names import split_background
from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES

IGNORED = 255


@dataclass(frozen=True)
class MaskClasses:
    """Names of the classes of masks.

    Attributes:
        names: Names of all classes but the background.
        first: Id of the first of them in the masks: 1 where 0 is the
            background, else 0.
    """

    names: tuple[str, ...]
    first: int

    @classmethod
    def of(cls, classes: Sequence[str]) -> 'MaskClasses':
        """Return the classes of a data set, with a background or without.

        Args:
            classes: Class names, ``'background'`` first or not at all.

        Raises:
            ValueError: ``'background'`` is at another place.
        """
        return cls(*split_background(classes))

    @property
    def ids(self) -> range:
        """Ids of the classes in the masks."""
        return range(self.first, self.first + len(self.names))

    def index(self, class_id: int) -> int:
        """Return the index of a class among the names."""
        return class_id - self.first


@dataclass(frozen=True)
class MaskSource:
    """A mask and its image.

    Attributes:
        mask: File of the mask; its stem is the id of the image.
        image: File of the image; None if images were not given.
        scores: File of stored maps of the classes; None without one.
    """

    mask: Path
    image: Path | None = None
    scores: Path | None = None

    @property
    def image_name(self) -> str:
        """Name of the image's file; where it is not known, a JPEG."""
        return self.image.name if self.image else f'{self.mask.stem}.jpg'

    def read(self, classes: MaskClasses) -> np.ndarray:
        """Return the mask, (H, W), checked against classes and image.

        Raises:
            ValueError: The mask is damaged, differs from its image in size,
                or has unknown ids.
        """
        mask = read_mask(str(self.mask))
        # Without a background, 0 is the first of the classes.
        known = range(classes.ids.stop)
        check_mask_ids(mask, str(self.mask), known, IGNORED)
        if self.image is not None:
            size = read_image_size(str(self.image))
            check_mask_size(mask, str(self.mask), size, str(self.image))
        return mask


def find_sources(masks: Path, images: Path | None) -> list[MaskSource]:
    """Return the masks of a folder, sorted by name, with their images.

    Args:
        masks: Folder of PNGs, or a folder with such a folder ``masks``, and
            maybe one of maps ``scores``, as PseudoMaskWriter leaves them.
        images: Folder of images, with the same stems.

    Raises:
        ValueError: There are no masks, or one has no image, or several.
    """
    folder = masks / 'masks' if (masks / 'masks').is_dir() else masks
    if not folder.is_dir():
        raise ValueError(f'{folder} is not a folder')
    paths = sorted(folder.glob('*.png'))
    if not paths:
        raise ValueError(f'{folder} holds no masks (*.png)')
    if images is None:
        return [MaskSource(path, None, _scores(path)) for path in paths]
    if not images.is_dir():
        raise ValueError(f'{images} is not a folder')
    by_stem = _by_stem(images.iterdir())
    missing = [path for path in paths if path.stem not in by_stem]
    if missing:
        raise ValueError(
            f'{images} holds no image of {len(missing)} of {len(paths)} '
            f'masks, the first is {missing[0]}'
        )
    sources = []
    for path in paths:
        found = by_stem[path.stem]
        if len(found) > 1:
            raise ValueError(
                f'{path} may be the mask of {found[0]} or of {found[1]}'
            )
        sources.append(MaskSource(path, found[0], _scores(path)))
    return sources


def _scores(mask: Path) -> Path | None:
    path = score_file(mask)
    return path if path.is_file() else None


def score_file(mask: Path) -> Path:
    """Return where the stored maps of a mask are, if there are any."""
    return mask.parent.parent / 'scores' / f'{mask.stem}.npz'


def _by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(paths):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(path.stem, []).append(path)
    return found
