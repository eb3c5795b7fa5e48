"""Decoding of images, with errors that name the file."""

import io

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image

# EXIF orientations 5 to 8 swap rows and columns.
FIRST_SWAPPED_ORIENTATION = 5


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG ends before the end of its last scan.

    Coded data never holds a bare marker, so after the last start of scan
    (FFDA) a whole file has an end of image (FFD9). Old releases of OpenCV
    fill what is missing with grey and say nothing.
    """
    if not content.startswith(b'\xff\xd8'):
        return False
    return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')


def decode_color_image(content: bytes, path: str) -> np.ndarray:
    """Decode any image file to 8-bit colour.

    Grey, palette, CMYK and 16-bit images are converted, an alpha channel is
    dropped, and an EXIF rotation is applied.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages.

    Returns:
        BGR, uint8, (H, W, 3).

    Raises:
        ValueError: The file is empty, cut off or no image.
    """
    if not content:
        raise ValueError(f'{path} is empty.')
    if is_cut_off(content):
        raise ValueError(f'{path} is a JPEG that is cut off.')
    image = mmcv.imfrombytes(content, flag='color', backend='cv2')
    if image is None:
        raise ValueError(f'{path} is damaged or no image.')
    return image


def shrink(image: np.ndarray, short_side: int) -> np.ndarray:
    """Bring an image with a larger short side to this one.

    Args:
        image: Any channels, uint8, (H, W, C).
        short_side: Pixels.
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
    """Read a file as :func:`decode_color_image` says."""
    return decode_color_image(fileio.get(path, backend_args), path)


def decode_image_size(content: bytes, path: str) -> tuple[int, int]:
    """Height and width of an image, from its header, EXIF applied.

    Args:
        content: The bytes of the file.
        path: Where they come from, for messages.

    Raises:
        ValueError: The header can't be read.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} is damaged or no image.') from error
    if turn >= FIRST_SWAPPED_ORIENTATION:
        return width, height
    return height, width


def read_image_size(
    path: str, backend_args: dict | None = None
) -> tuple[int, int]:
    """Look into a file as :func:`decode_image_size` says."""
    return decode_image_size(fileio.get(path, backend_args), path)
