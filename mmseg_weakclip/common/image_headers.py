"""Facts in the headers of image files: size, orientation, whole or cut off."""

import contextlib
import io
import re
import threading
from collections.abc import Iterator
from typing import Literal

from PIL import ExifTags, Image

# Behind the header of a scan come coded data, in which a bare marker is
# followed by 00 (a stuffed byte), D0 to D7 (a restart) or another FF.
SCAN_END = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]', re.DOTALL)
START, END, SCAN = 0xD8, 0xD9, 0xDA
STANDALONE = {0x01, *range(0xD0, 0xD8)}
# Where EXIF and XMP stand, if a JPEG has them.
HEAD = 65536 * 2
HEIF_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1',
               b'msf1')  # fmt: skip
ORIENTATIONS = range(1, 9)
# EXIF orientations 5 to 8 swap rows and columns.
FIRST_SWAPPED_ORIENTATION = 5
_limit_lock = threading.Lock()


def is_heif(content: bytes) -> bool:
    """Return whether a file is HEIC or HEIF, as phones write it."""
    return content[4:8] == b'ftyp' and content[8:12] in HEIF_BRANDS


def is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG ends before its end of image.

    Decoders fill missing parts with grey, and some report no error. What
    stands behind the end, such as the film of a phone's motion photo, does
    not matter.
    """
    if not content.startswith(b'\xff\xd8'):
        return False
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            # A damaged header; a later end of image speaks for a whole file.
            return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')
        marker = content[position + 1]
        if marker == END:
            return False
        if marker == 0xFF:
            position += 1
            continue
        if marker in STANDALONE or marker == START:
            position += 2
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
        if marker == SCAN:
            found = SCAN_END.search(content, position)
            if found is None:
                return True
            position = found.start()
    return content[position : position + 2] != b'\xff\xd9'


def read_orientation(content: bytes) -> int:
    """Return the orientation that a file states, 1 to 8; 1 if none.

    EXIF, XMP and the tag of TIFF count alike. Values out of range are
    ignored, as viewers do.
    """
    if content.startswith(b'\xff\xd8'):
        head = content[:HEAD]
        if b'Exif\0' not in head and b'ns.adobe.com/xap' not in head:
            return 1
    if is_heif(content):
        # Its decoder turns the image.
        return 1
    try:
        with _open(content) as image:
            return _orientation_of(image)
    except (OSError, SyntaxError, ValueError):
        return 1


def decode_image_size(content: bytes, path: str) -> tuple[int, int]:
    """Return height and width from an image's header, orientation applied.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: The header cannot be read.
    """
    if is_heif(content):
        register_heif(path)
    try:
        # Pillow turns the size of some formats itself.
        with _open(clear_tiff_orientation(content)) as image:
            width, height = image.size
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} is damaged or not an image.') from error
    if read_orientation(content) >= FIRST_SWAPPED_ORIENTATION:
        return width, height
    return height, width


def clear_tiff_orientation(content: bytes) -> bytes:
    """Return a TIFF that states no orientation; other files unchanged.

    Decoders turn some TIFFs and not others, whatever they are asked for.
    """
    if content[:2] not in (b'II', b'MM'):
        return content
    order: Literal['little', 'big'] = (
        'little' if content.startswith(b'II') else 'big'
    )

    def number(start: int, size: int) -> int:
        return int.from_bytes(content[start : start + size], order)

    # Classic TIFF counts in 2 and 4 bytes, BigTIFF in 8.
    version = number(2, 2)
    if version not in (42, 43):
        return content
    start = number(4, 4) if version == 42 else number(8, 8)
    width, size, value = (2, 12, 8) if version == 42 else (8, 20, 12)
    for index in range(min(number(start, width), 4096)):
        entry = start + width + index * size
        if number(entry, 2) == ExifTags.Base.Orientation:
            place = entry + value
            upright = (1).to_bytes(2, order)
            return content[:place] + upright + content[place + 2 :]
    return content


def register_heif(path: str) -> None:
    """Have Pillow read HEIC.

    Args:
        path: Path of a file, for the message.

    Raises:
        ValueError: pillow-heif is not installed.
    """
    if not heif_is_read():
        raise ValueError(
            f'{path} is HEIC, which needs pillow-heif: '
            "pip install 'mmseg_weakclip[heic]'"
        )


def heif_is_read() -> bool:
    """Return whether HEIC can be read, and prepare Pillow for it."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


@contextlib.contextmanager
def _open(content: bytes) -> Iterator[Image.Image]:
    """Open an image of any size: only its header is read."""
    try:
        image = Image.open(io.BytesIO(content))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # The limit guards programs that decode what strangers send.
        with _limit_lock:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(io.BytesIO(content))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _orientation_of(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  (Pillow fails in many ways on bad EXIF)
        return 1
    return turn if turn in ORIENTATIONS else 1
