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
    """Return whether a JPEG ends before the end of its last scan.

    Coded data never holds a bare marker, so after the last start of scan
    (FFDA) a whole file has an end of image (FFD9). Old releases of OpenCV
    fill missing parts with grey and report no error.
    """
    if not content.startswith(b'\xff\xd8'):
        return False
    return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')


def decode_color_image(content: bytes, path: str) -> np.ndarray:
    """Decode any image file to 8-bit colour.

    Grey, palette, CMYK and 16-bit images are converted, an alpha channel is
    dropped, and an EXIF rotation is applied.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Returns:
        BGR image, uint8, (H, W, 3).

    Raises:
        ValueError: The file is empty, cut off or not an image.
    """
    if not content:
        raise ValueError(f'{path} is empty.')
    if is_cut_off(content):
        raise ValueError(f'{path} is a JPEG that is cut off.')
    image = mmcv.imfrombytes(content, flag='color', backend='cv2')
    if image is None:
        raise ValueError(f'{path} is damaged or not an image.')
    return image


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
    """Read any image file as 8-bit BGR, (H, W, 3), EXIF applied."""
    return decode_color_image(fileio.get(path, backend_args), path)


def decode_image_size(content: bytes, path: str) -> tuple[int, int]:
    """Return height and width from an image's header, EXIF applied.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: The header cannot be read.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} is damaged or not an image.') from error
    if turn >= FIRST_SWAPPED_ORIENTATION:
        return width, height
    return height, width


def read_image_size(
    path: str, backend_args: dict | None = None
) -> tuple[int, int]:
    """Read height and width from an image file's header, EXIF applied."""
    return decode_image_size(fileio.get(path, backend_args), path)
