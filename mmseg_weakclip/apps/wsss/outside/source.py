"""What another tool's masks are, whatever the format of their files."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.common.files import digest_file, digest_value

# Values of a mask that are no class: a pixel that is open, and one of the
# background. Value k >= 1 is the k-th name of the source.
OPEN, REST = -1, 0

Size = tuple[int, int]  # height and width
SHOWN = 3


@dataclass(frozen=True)
class Segment:
    """One object or class of an image.

    Attributes:
        pixels: Its pixels, bool, (h, w).
        value: Value of these pixels, see :data:`OPEN`.
        score: How sure the tool is; None if it does not say.
        corner: Row and column of the first pixel in the image.
    """

    pixels: np.ndarray
    value: int
    score: float | None = None
    corner: tuple[int, int] = (0, 0)


def paint_segments(
    size: Size, segments: Sequence[Segment], allowed: Collection[int]
) -> np.ndarray:
    """Paint segments over each other, the surest or the smallest on top.

    Open segments lie below all others, and those of classes that the image
    does not have below those that it has: a false find must not hide what is
    there. The others lie by their scores if all have one, and else by their
    areas, largest below: a person hides the sofa that it sits on, not the
    other way round. Of equals, the later is on top.

    Args:
        size: Height and width.
        segments: Segments of the image.
        allowed: Values of the classes that the image has.

    Returns:
        Values, REST where no segment is, int32, (H, W).
    """
    values = np.full(size, REST, np.int32)
    classes = [s for s in segments if s.value != OPEN]
    if all(segment.score is not None for segment in classes):
        classes.sort(key=lambda s: s.score or 0.0)
    else:
        classes.sort(key=lambda s: -int(s.pixels.sum()))
    false = [s for s in classes if s.value not in (REST, *allowed)]
    others = [s for s in classes if s.value in (REST, *allowed)]
    below = [s for s in segments if s.value == OPEN]
    for segment in (*below, *false, *others):
        (top, left), (height, width) = segment.corner, segment.pixels.shape
        box = values[top : top + height, left : left + width]
        box[segment.pixels] = segment.value
    return values


@dataclass(frozen=True)
class OutsideMasks(ABC):
    """Masks of another tool, matched to the images but not yet read.

    Attributes:
        path: Folder or file of the user.
        names: Names of their classes; value k of a mask is ``names[k - 1]``.
        notes: What was understood and left out, a line each.
    """

    path: Path
    names: tuple[str, ...]
    notes: tuple[str, ...]

    # What the files are, for messages.
    title: ClassVar[str]
    # Whether background was drawn, and is not just what no mask covers.
    draws_background: ClassVar[bool] = True

    @property
    @abstractmethod
    def images(self) -> Collection[str]:
        """Paths of the images that have a mask."""

    @abstractmethod
    def read(
        self, image: str, sizes: Sequence[Size], allowed: Collection[int]
    ) -> np.ndarray:
        """Return the mask of an image.

        Args:
            image: Path of the image; one of ``images``.
            sizes: Heights and widths that the mask may have, that of the
                user's file first.
            allowed: Values of the classes that the image has. They win where
                the masks say several things of a pixel.

        Returns:
            OPEN, REST, or k of ``names[k - 1]``, int32, (H, W).

        Raises:
            ValueError: It cannot be read, is of another size, or has ids of
                no class; the message names the file.
        """

    @abstractmethod
    def digest(self) -> str:
        """Return a digest of all files of the masks."""


@dataclass(frozen=True)
class MaskFile:
    """A file with the mask of an image, or of one of its classes.

    Attributes:
        path: Its path.
        value: Value of its pixels where it shows one class; 0 for others.
    """

    path: Path
    value: int = 0


@dataclass(frozen=True)
class FolderMasks(OutsideMasks):
    """Masks in a folder.

    Attributes:
        files: Files by path of the image, one or more each.
    """

    files: dict[str, tuple[MaskFile, ...]]

    @property
    def images(self) -> Collection[str]:
        """Paths of the images that have a mask."""
        return self.files

    def digest(self) -> str:
        """Return a digest of all files of the masks."""
        return digest_value(
            [
                [str(file.path.relative_to(self.path)), digest_file(file.path)]
                for files in self.files.values()
                for file in files
            ]
        )


def check_size(
    size: Size, where: str, image: str, sizes: Sequence[Size]
) -> None:
    """Check that a mask has one of the sizes of its image.

    Args:
        size: Height and width of the mask.
        where: File of the mask, for the message.
        image: Path of the image, for the message.
        sizes: Heights and widths that are allowed; the first is that of the
            user's file.

    Raises:
        ValueError: It has another size.
    """
    if tuple(size) in {tuple(known) for known in sizes}:
        return
    turned = ''
    if tuple(size)[::-1] == tuple(sizes[0]):
        turned = (
            ' Height and width are swapped: was the mask made without the '
            "EXIF rotation of the image's file?"
        )
    raise ValueError(
        f'The mask {where} is {size[0]} x {size[1]} (height x width), its '
        f'image {image} {sizes[0][0]} x {sizes[0][1]}.{turned}'
    )


def describe_unmatched(names: Sequence[str]) -> list[str]:
    """Return a line about masks that are called like no image, if any."""
    if not names:
        return []
    more = ', ...' if names[SHOWN:] else ''
    return [
        f'{count(len(names), "mask")} called like no image: '
        f'{", ".join(names[:SHOWN])}{more}'
    ]
