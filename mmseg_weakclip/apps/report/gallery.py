"""Gallery of a run: thumbnails of images and their masks."""

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
# Largest size of all pictures in the page, which stays below 15 MB.
MOST_BYTES = 12_000_000


@dataclass(frozen=True)
class Picture:
    """A mask that is shown over its photo.

    Attributes:
        title: Name of the mask's role.
        data: ``data:`` URI of the mask; None if it is missing.
        alt: Alternative text: the classes and their shares.
    """

    title: str
    data: str | None
    alt: str


@dataclass(frozen=True)
class Card:
    """An image of the gallery.

    Attributes:
        comparison: Image, and the disagreement between its masks.
        photo: ``data:`` URI of the photo.
        size: Size of the thumbnails, (height, width).
        pictures: Masks of the image, one for each role that the run has.
        present: Ids of the classes in its masks, sorted.
    """

    comparison: Comparison
    photo: str
    size: tuple[int, int]
    pictures: tuple[Picture, ...]
    present: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of the pictures in the page, which has the photo twice."""
        masks = sum(len(p.data) for p in self.pictures if p.data)
        return 2 * len(self.photo) + masks


@dataclass(frozen=True)
class Gallery:
    """The images that the page shows.

    Attributes:
        cards: Images to show, in the order of the index.
        worst: Number of images chosen for their disagreement.
        left_out: Number of images of the run that are not shown.
        too_large: Number of those left out to limit the size of the page.
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
        run: Run that the images belong to.
        comparisons: Comparisons of all images, in the order of the index.
        count: Number of images to show at most.

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
    """Make the thumbnails of one image.

    Args:
        run: Run that the images belong to.
        comparison: Comparison of the image.
        roles: Roles of the masks to show; missing masks get a note.
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
    """Read the photo of a run's image.

    Raises:
        RunError: The photo is damaged, or its size differs from the index.
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
    """Return height and width reduced to fit :data:`SIDE`."""
    factor = min(1, SIDE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def paint(
    mask: np.ndarray, classes: Sequence[RunClass], size: tuple[int, int]
) -> Image.Image:
    """Return a mask in class colours, to be shown over a photo.

    Background (id 0) is transparent, pixels without a class are white.

    Args:
        mask: Class ids, uint8, (H, W).
        classes: Classes of the run.
        size: Size of the result, (height, width).
    """
    colors = np.full((256, 3), 255, np.uint8)
    colors[: len(classes)] = [info.color for info in classes]
    picture = Image.fromarray(mask).resize(
        size[::-1], Image.Resampling.NEAREST
    )
    picture.putpalette(colors.ravel().tolist())
    return picture


def describe_mask(mask: np.ndarray, names: Sequence[str]) -> str:
    """Describe a mask in words: its classes and shares, largest first.

    Args:
        mask: Class ids, (H, W).
        names: Names of all classes, background first.
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
    """Encode a palette image as a ``data:`` URI; id 0 is transparent."""
    buffer = io.BytesIO()
    picture.save(buffer, 'PNG', optimize=True, transparency=0)
    return _uri('png', buffer)


def encode_jpeg(picture: Image.Image) -> str:
    """Encode a photo as a ``data:`` URI."""
    buffer = io.BytesIO()
    picture.save(buffer, 'JPEG', quality=QUALITY, optimize=True)
    return _uri('jpeg', buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    text = base64.b64encode(buffer.getvalue()).decode()
    return f'data:image/{kind};base64,{text}'
