"""Index masks: reading, checks, encoding and colours."""

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from mmengine import fileio
from PIL import Image

# PIL's modes with one number per pixel.
INDEX_MODES = ('P', 'L', '1', 'I', 'I;16', 'I;16B')

# Ids in a PNG of one byte per pixel, less 255 for ignored pixels.
MAX_IDS = 255


def check_class_count(classes: Sequence[str]) -> None:
    """Check that masks can hold the ids of all classes.

    Args:
        classes: Class names, the background included where there is one.

    Raises:
        ValueError: There are more.
    """
    if len(classes) > MAX_IDS:
        raise ValueError(
            f'{len(classes)} classes are more than masks can hold: a pixel '
            f'has one byte, and 255 marks ignored ones, which leaves '
            f'{MAX_IDS}, that is 254 and the background. Split the classes, '
            'or leave rare ones out'
        )


def decode_mask(content: bytes, path: str) -> np.ndarray:
    """Decode an index mask: one class id per pixel, palette or grey.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Returns:
        Class ids, (H, W), in the integer type of the file.

    Raises:
        ValueError: The file is damaged, or a colour image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            mask = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f'The mask {path} is damaged or not an image.'
        ) from error
    if mode not in INDEX_MODES:
        raise ValueError(
            f'The mask {path} is a colour image (mode {mode}); it must hold '
            'one class id per pixel (palette or grey PNG).'
        )
    return mask.astype(np.uint8) if mask.dtype == bool else mask


def read_mask(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read a mask file as class ids, (H, W)."""
    return decode_mask(fileio.get(path, backend_args), path)


def ids_of_mask(mask: np.ndarray) -> np.ndarray:
    """Return the distinct ids of a mask, sorted."""
    if mask.dtype == np.uint8:
        # A histogram is ten times faster than sorting the pixels.
        return np.flatnonzero(np.bincount(mask.ravel()))
    return np.unique(mask)


def check_mask_ids(
    mask: np.ndarray,
    path: str,
    allowed: Iterable[int],
    ignore_index: int = 255,
) -> None:
    """Check that a mask holds class ids only.

    Args:
        mask: Class ids of the file, (H, W).
        path: File of the mask, for messages.
        allowed: Ids that a mask may hold, besides ``ignore_index``.
        ignore_index: Id of pixels without a class.

    Raises:
        ValueError: The mask holds other ids.
    """
    allowed = set(allowed)
    ids = ids_of_mask(mask).tolist()
    unknown = [i for i in ids if i not in allowed and i != ignore_index]
    if unknown:
        raise ValueError(
            f'The mask {path} has ids {unknown}; this data set knows '
            f'{min(allowed)} to {max(allowed)}, and {ignore_index} for '
            'ignored pixels. Is it made for other classes or another id '
            'encoding?'
        )


def check_mask_size(
    mask: np.ndarray, path: str, size: tuple[int, int], image_path: str
) -> None:
    """Check that a mask is as large as its image.

    Args:
        mask: Class ids, (H, W).
        path: File of the mask, for messages.
        size: Height and width of the image.
        image_path: File of the image, for messages.

    Raises:
        ValueError: The sizes differ.
    """
    if mask.shape == tuple(size):
        return
    turned = ''
    if mask.shape == tuple(size)[::-1]:
        turned = (
            ' Height and width are swapped: was the mask made without the '
            "EXIF rotation of the image's file?"
        )
    raise ValueError(
        f'The mask {path} is {mask.shape[0]} x {mask.shape[1]} (height x '
        f'width), its image {image_path} {size[0]} x {size[1]}.{turned}'
    )


def map_mask(mask: np.ndarray, label_map: Mapping[int, int]) -> np.ndarray:
    """Replace the ids of a mask; ids that are not in the map stay.

    Args:
        mask: Class ids, (H, W).
        label_map: Old id -> new id.

    Returns:
        New mask, uint8, (H, W).
    """
    table = np.arange(int(mask.max(initial=0)) + 1)
    for old, new in label_map.items():
        if old < len(table):
            table[old] = new
    return table[mask].astype(np.uint8)


PALETTE_SIZE = 256


def label_colors(count: int) -> list[list[int]]:
    """Return the colour map of PASCAL VOC, for any number of classes.

    Bit k of the id, three bits at a time, becomes bit 7 - k of red, green
    and blue, so that ids that differ little get colours that differ much.

    Args:
        count: Number of classes; up to 2 ** 24 their colours differ.

    Returns:
        RGB triples (0..255); id 0 is black.
    """
    colors = []
    for class_id in range(count):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                on = class_id >> (3 * bit + channel) & 1
                rgb[channel] |= on << (7 - bit)
        colors.append(rgb)
    return colors


def encode_mask(mask: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    """Encode class ids as the bytes of an 8-bit palette PNG.

    Args:
        mask: Class ids 0..255, (H, W).
        palette: RGB colours of the first ids; the others are white.
    """
    # With a short palette, PIL would write fewer bits, and clip large ids.
    colors = np.full((PALETTE_SIZE, 3), 255, np.uint8)
    colors[: len(palette)] = palette
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette(colors.ravel().tolist())
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    return buffer.getvalue()
