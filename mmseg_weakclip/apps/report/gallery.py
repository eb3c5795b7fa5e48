"""Images with their masks, small enough to stand in the page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmseg_weakclip.apps.run_folder.schema import (
    ROLES,
    RunClass,
    RunError,
    RunImage,
)
from mmseg_weakclip.apps.run_folder.store import RunFolder
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.masks import check_mask_size
from mmseg_weakclip.common.overlay import class_shares

from .compare import IGNORED, TRUTH, Comparison, choose, read_masks

SIDE = 360  # pixels of a thumbnail's longer side
QUALITY = 80
# Of all pictures as they stand in the page, so that it stays below 15 MB.
MOST_BYTES = 12_000_000


@dataclass(frozen=True)
class Picture:
    """A mask to lie over its photo.

    Attributes:
        title: What made it.
        data: ``data:`` URI; None where there is no such mask.
        alt: The classes and their shares, in words.
    """

    title: str
    data: str | None
    alt: str


@dataclass(frozen=True)
class Card:
    """An image of the gallery.

    Attributes:
        comparison: The image, and how much its masks disagree.
        photo: ``data:`` URI.
        size: Of the thumbnails, (height, width).
        pictures: A mask of each kind that the run has.
        present: Ids of the classes in its masks, sorted.
    """

    comparison: Comparison
    photo: str
    size: tuple[int, int]
    pictures: tuple[Picture, ...]
    present: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of the pictures in the page; the photo stands there twice."""
        masks = sum(len(p.data) for p in self.pictures if p.data)
        return 2 * len(self.photo) + masks


@dataclass(frozen=True)
class Gallery:
    """The images that are shown.

    Attributes:
        cards: In the order of the index.
        worst: How many were chosen for their disagreement.
        left_out: How many images of the run are not shown.
        too_large: How many of those only for the size of the page.
    """

    cards: tuple[Card, ...]
    worst: int
    left_out: int
    too_large: int


def make_gallery(
    run: RunFolder, comparisons: Sequence[Comparison], count: int
) -> Gallery:
    """Choose images and make their thumbnails.

    Args:
        run: The run.
        comparisons: Of all its images, in the order of the index.
        count: How many images to show at most.

    Raises:
        RunError: An image or mask is damaged.
    """
    chosen, worst = choose(comparisons, count)
    roles = [
        role
        for role in (*ROLES, TRUTH)
        if any(_has(run, c.image, role) for c in comparisons)
    ]
    cards, total = {}, 0
    for comparison in chosen:
        card = make_card(run, comparison, roles)
        total += card.bytes
        if total > MOST_BYTES:
            break
        cards[comparison.image.id] = card
    return Gallery(
        cards=tuple(
            cards[c.image.id] for c in comparisons if c.image.id in cards
        ),
        worst=min(worst, len(cards)),
        left_out=len(comparisons) - len(cards),
        too_large=len(chosen) - len(cards),
    )


def _has(run: RunFolder, image: RunImage, role: str) -> bool:
    if role == TRUTH:
        return image.truth is not None
    return run.mask_path(role, image.id).is_file()


def make_card(
    run: RunFolder, comparison: Comparison, roles: Sequence[str]
) -> Card:
    """Thumbnails of one image.

    Args:
        run: The run.
        comparison: The image.
        roles: Masks to show, or to say that they lack.
    """
    image = comparison.image
    photo = read_photo(run, image)
    size = thumbnail_size(image.size)
    masks = read_masks(run, image)
    pictures = []
    for role in roles:
        title = ROLES.get(role, role)
        if role in masks:
            data = encode_png(paint(masks[role], run.classes, size))
            text = describe_mask(masks[role], run.names)
            alt = f'{title} of {image.id}: {text}'
        else:
            data, alt = None, f'no {title} of {image.id}'
        pictures.append(Picture(title, data, alt))
    ids = {i for mask in masks.values() for i in np.unique(mask).tolist()}
    return Card(
        comparison=comparison,
        photo=encode_jpeg(photo.resize(size[::-1], Image.Resampling.LANCZOS)),
        size=size,
        pictures=tuple(pictures),
        present=tuple(sorted(ids - {IGNORED})),
    )


def read_photo(run: RunFolder, image: RunImage) -> Image.Image:
    """The photo of a run's image.

    Raises:
        RunError: It is damaged, or of another size than the index says.
    """
    try:
        pixels = read_color_image(str(run.image_path(image)))
        check_mask_size(
            pixels[..., 0],
            'in the index',
            image.size,
            str(run.image_path(image)),
        )
    except (OSError, ValueError) as error:
        raise RunError(str(error)) from error
    return Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width that fit :data:`SIDE`; small images stay."""
    factor = min(1, SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def paint(
    mask: np.ndarray, classes: Sequence[RunClass], size: tuple[int, int]
) -> Image.Image:
    """A mask in its colours, for lying over a photo.

    Background (id 0) is transparent, pixels without a class are white.

    Args:
        mask: Class ids, uint8, (H, W).
        classes: Of the run.
        size: Of the picture, (height, width).
    """
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(classes)] = [info.color for info in classes]
    picture = Image.fromarray(mask).resize(
        size[::-1], Image.Resampling.NEAREST
    )
    picture.putpalette(colors.ravel().tolist())
    return picture


def describe_mask(mask: np.ndarray, names: Sequence[str]) -> str:
    """A mask in words: its classes, the largest first.

    Args:
        mask: Class ids, (H, W).
        names: Of all classes.
    """
    shares = class_shares(mask, len(names))
    parts = [
        f'{names[i]} {100 * shares[i]:.0f} %'
        for i in np.argsort(-shares, kind='stable')
        if shares[i] > 0
    ]
    if ignored := (mask == IGNORED).mean():
        parts.append(f'no class {100 * ignored:.0f} %')
    return ', '.join(parts)


def encode_png(picture: Image.Image) -> str:
    """A palette picture as a ``data:`` URI; id 0 is transparent."""
    buffer = io.BytesIO()
    picture.save(buffer, 'PNG', optimize=True, transparency=0)
    return _uri('png', buffer)


def encode_jpeg(picture: Image.Image) -> str:
    """A photo as a ``data:`` URI."""
    buffer = io.BytesIO()
    picture.save(buffer, 'JPEG', quality=QUALITY, optimize=True)
    return _uri('jpeg', buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    text = base64.b64encode(buffer.getvalue()).decode()
    return f'data:image/{kind};base64,{text}'
