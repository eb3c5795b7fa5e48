"""Decoding of images, with errors that name the file."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image

from .image_headers import (
    clear_tiff_orientation,
    decode_image_size,
    is_cut_off,
    is_heif,
    read_orientation,
    register_heif,
)

# EXIF orientation -> how the pixels are turned for viewing.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: lambda image: cv2.transpose(image),
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
# Largest values of cameras and microscopes, in files of 16 bits.
DEPTHS = {255: 8, 1023: 10, 4095: 12, 16383: 14, 65535: 16}
JPEG, TIFF = b'\xff\xd8', (b'II', b'MM')
# Pillow shows the upper part of a PNG that is cut off.
PNG = b'\x89PNG'
PNG_BITS = re.compile(rb'sBIT(.)', re.DOTALL)


@dataclass(frozen=True)
class DecodedImage:
    """An image and what was done to its values.

    Attributes:
        pixels: BGR image, uint8, (H, W, 3).
        note: How values other than 8-bit were scaled; '' for 8-bit.
        is_plain: Whether the file is 8-bit and stands upright, in a format
            that anything reads.
    """

    pixels: np.ndarray
    note: str = ''
    is_plain: bool = True


def decode_image(content: bytes, path: str) -> DecodedImage:
    """Decode any image file to 8-bit colour.

    Grey, palette and CMYK images are converted, an alpha channel is dropped,
    and the orientation that the file states is applied. Values of 16 bits are
    scaled by the range that the file states, or else by the smallest usual
    range (10, 12, 14 or 16 bits) that holds them; floats have to lie in 0..1
    or 0..255.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: The file is empty, cut off, not an image, or has values
            without a known range.
    """
    if not content:
        raise ValueError(f'{path} is empty.')
    if is_cut_off(content):
        raise ValueError(f'{path} is a JPEG that is cut off.')
    image = None if is_heif(content) else _decode_with_cv2(content)
    plain = image is not None
    if image is None:
        if content.startswith((PNG, JPEG)):
            raise ValueError(f'{path} is damaged or not an image.')
        image = _decode_with_pillow(content, path)
    image, note = _to_8_bit(image, content, path)
    turn = read_orientation(content)
    if turn in TURNS:
        image = np.ascontiguousarray(TURNS[turn](image))
    upright = turn == 1 or content.startswith(JPEG)
    return DecodedImage(image, note, plain and not note and upright)


def decode_color_image(content: bytes, path: str) -> np.ndarray:
    """Decode any image file to BGR, uint8, (H, W, 3).

    See :func:`decode_image`.
    """
    return decode_image(content, path).pixels


def _decode_with_cv2(content: bytes) -> np.ndarray | None:
    """Decode to BGR of any depth, not turned; None for unknown files."""
    try:
        if content.startswith(JPEG):
            return mmcv.imfrombytes(
                content, flag='color_ignore_orientation', backend='cv2'
            )
        buffer = np.frombuffer(clear_tiff_orientation(content), np.uint8)
        flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(buffer, cv2.IMREAD_COLOR | flags)
        if image is None and content.startswith(TIFF):
            # Floats of one channel are not widened to three.
            image = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
        if image is not None and image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return image if image is None else image[..., :3]
    except cv2.error:
        # Too many pixels for it, or a kind of file that it does not know.
        return None


def _decode_with_pillow(content: bytes, path: str) -> np.ndarray:
    """Decode what OpenCV does not read: HEIC, AVIF, CMYK in TIFF."""
    if is_heif(content):
        register_heif(path)
    try:
        with Image.open(io.BytesIO(clear_tiff_orientation(content))) as image:
            if image.mode[0] in 'IF':
                raise ValueError(
                    f'{path} holds values of mode {image.mode}, whose range '
                    'is not known; save the image with 8 or 16 bits.'
                )
            rgb = np.asarray(image.convert('RGB'))
    except Image.DecompressionBombError as error:
        raise ValueError(
            f'{path} has more pixels than can be decoded; reduce it.'
        ) from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} is damaged or not an image.') from error
    return np.ascontiguousarray(rgb[..., ::-1])


def _to_8_bit(
    image: np.ndarray, content: bytes, path: str
) -> tuple[np.ndarray, str]:
    """Return an image as uint8, and how it was scaled."""
    if image.dtype == np.uint8:
        return image, ''
    top = float(image.max())
    if image.dtype == np.uint16:
        bits = _stated_bits(content)
        how = 'as its header says'
        if bits is None or top >= 2**bits:
            bits = next(
                depth for limit, depth in DEPTHS.items() if top <= limit
            )
            how = f'since they reach {top:.0f}'
        scale = 255 / (2**bits - 1)
        note = f'16-bit values are read as {bits}-bit, {how}'
    elif image.dtype in (np.float32, np.float64):
        low = float(image.min())
        if not (low >= 0 and top <= 255):
            raise ValueError(
                f'{path} holds floats from {low:.4g} to {top:.4g}; expected '
                '0..1 or 0..255. Scale them, and save the image with 8 or 16 '
                'bits.'
            )
        limit = 1 if top <= 1 else 255
        scale = 255 / limit
        note = f'floats are read as 0..{limit}, since they reach {top:.4g}'
    else:
        raise ValueError(
            f'{path} holds values of type {image.dtype}, whose range is not '
            'known; save the image with 8 or 16 bits.'
        )
    scaled = np.rint(image.astype(np.float32) * scale)
    return scaled.clip(0, 255).astype(np.uint8), note


def _stated_bits(content: bytes) -> int | None:
    """Return the number of significant bits that a PNG states, if it does."""
    if not content.startswith(PNG):
        return None
    found = PNG_BITS.search(content[:4096])
    bits = found[1][0] if found else 0
    return bits if 8 <= bits <= 16 else None


def shrink(image: np.ndarray, short_side: int) -> np.ndarray:
    """Reduce an image to a short side; return smaller ones unchanged.

    Args:
        image: Image with any channels, uint8, (H, W, C).
        short_side: Largest short side of the result, in pixels.
    """
    height, width = image.shape[:2]
    if min(height, width) <= short_side:
        return image
    factor = short_side / min(height, width)
    size = round(width * factor), round(height * factor)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def read_color_image(
    path: str, backend_args: dict | None = None
) -> np.ndarray:
    """Read any image file as 8-bit BGR, (H, W, 3), orientation applied."""
    return decode_color_image(fileio.get(path, backend_args), path)


def read_image_size(
    path: str, backend_args: dict | None = None
) -> tuple[int, int]:
    """Read height and width from an image file's header, as it is shown."""
    return decode_image_size(fileio.get(path, backend_args), path)
