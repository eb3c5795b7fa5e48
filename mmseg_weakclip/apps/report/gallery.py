"""Gallery of a run: images and their masks as pictures in the page."""

import base64
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmseg_weakclip.apps.run_folder.schema import (
    RunClass,
    RunError,
    RunImage,
)
from mmseg_weakclip.apps.run_folder.store import RunFolder
from mmseg_weakclip.common.images import read_color_image
from mmseg_weakclip.common.masks import check_mask_size
from mmseg_weakclip.common.overlay import class_shares

from .compare import (
    IGNORED,
    TITLES,
    TRUTH,
    Comparison,
    choose,
    class_titles,
    read_masks,
)

# Pixels of a picture's longer side, if it is one of a few and of many.
SIDE, SMALL_SIDE = 640, 360
FEW = 80
QUALITY = 80
# Largest size of all pictures in the page, which stays below 15 MB.
MOST_BYTES = 12_000_000


@dataclass(frozen=True)
class Picture:
    """A mask that is shown over its photo.

    Attributes:
        role: Key of the mask's role.
        title: Name of the mask's role.
        data: ``data:`` URI of the mask; None if it is missing.
        alt: Alternative text: the classes and their shares.
        legend: Id and share (0 to 1) of each class in the mask, background
            included, the largest first.
    """

    role: str
    title: str
    data: str | None
    alt: str
    legend: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Card:
    """An image of the gallery.

    Attributes:
        comparison: Image, and the disagreement between its masks.
        photo: ``data:`` URI of the photo.
        size: Size of the pictures, (height, width).
        pictures: Masks of the image, one for each role that the run has.
    """

    comparison: Comparison
    photo: str
    size: tuple[int, int]
    pictures: tuple[Picture, ...]

    @property
    def bytes(self) -> int:
        """Size of the pictures in the page."""
        masks = sum(len(p.data) for p in self.pictures if p.data)
        return len(self.photo) + masks


@dataclass(frozen=True)
class Gallery:
    """The images that the page shows.

    Attributes:
        cards: Images to show, in the order of the index.
        roles: Roles of the masks that at least one image of the run has.
        worst: Number of images chosen because they need a look.
        left_out: Number of images of the run that are not shown.
        too_large: Number of those left out to limit the size of the page.
    """

    cards: tuple[Card, ...]
    roles: tuple[str, ...]
    worst: int
    left_out: int
    too_large: int


def make_gallery(
    run: RunFolder,
    comparisons: Sequence[Comparison],
    count: int,
    wanted: Collection[str] = (),
) -> Gallery:
    """Choose images and make their pictures.

    Args:
        run: Run that the images belong to.
        comparisons: Comparisons of all images, in the order of the index.
        count: Number of images to show at most.
        wanted: Ids of images to show first.

    Raises:
        RunError: An image or mask is damaged.
    """
    chosen, worst = choose(comparisons, count, wanted)
    roles = tuple(
        role
        for role in (*run.roles, TRUTH)
        if any(_has(run, c.image, role) for c in comparisons)
    )
    side = SIDE if len(chosen) <= FEW else SMALL_SIDE
    cards, total = {}, 0
    for comparison in chosen:
        card = make_card(run, comparison, roles, side)
        total += card.bytes
        if total > MOST_BYTES:
            break
        cards[comparison.image.id] = card
    return Gallery(
        cards=tuple(
            cards[c.image.id] for c in comparisons if c.image.id in cards
        ),
        roles=roles,
        worst=min(worst, len(cards)),
        left_out=len(comparisons) - len(cards),
        too_large=len(chosen) - len(cards),
    )


def _has(run: RunFolder, image: RunImage, role: str) -> bool:
    if role == TRUTH:
        return image.truth is not None
    return run.mask_path(role, image.id).is_file()


def make_card(
    run: RunFolder,
    comparison: Comparison,
    roles: Sequence[str],
    side: int = SIDE,
) -> Card:
    """Make the pictures of one image.

    Args:
        run: Run that the images belong to.
        comparison: Comparison of the image.
        roles: Roles of the masks to show; missing masks get a note.
        side: Longer side of the pictures at most, in pixels.
    """
    image = comparison.image
    photo = read_photo(run, image)
    size = picture_size(image.size, side)
    masks = read_masks(run, image)
    pictures = []
    for role in roles:
        title = TITLES[role]
        if role in masks:
            data = encode_png(paint(masks[role], run.classes, size))
            legend = rank_classes(class_shares(masks[role], len(run.names)))
            text = describe_mask(masks[role], legend, class_titles(run))
            alt = f'{title} of {image.source}: {text}'
        else:
            data, alt, legend = None, f'no {title} of {image.source}', ()
        pictures.append(Picture(role, title, data, alt, legend))
    return Card(
        comparison=comparison,
        photo=encode_jpeg(photo.resize(size[::-1], Image.Resampling.LANCZOS)),
        size=size,
        pictures=tuple(pictures),
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


def picture_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return height and width reduced to fit a square of ``side`` pixels."""
    factor = min(1, side / max(size))
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


def rank_classes(shares: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Return the classes of a mask and their shares, the largest first.

    Args:
        shares: Share of each class, (K,); classes without pixels are left
            out, and ties are in the order of the ids.
    """
    order = np.argsort(-shares, kind='stable')
    return tuple((int(k), float(shares[k])) for k in order if shares[k] > 0)


def describe_mask(
    mask: np.ndarray,
    legend: Sequence[tuple[int, float]],
    names: Sequence[str],
) -> str:
    """Describe a mask in words: its classes and shares, largest first.

    Args:
        mask: Class ids, (H, W).
        legend: Ids and shares of its classes, in the order to name them.
        names: Names of all classes, background first.
    """
    parts = [f'{names[k]} {100 * share:.0f} %' for k, share in legend]
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
