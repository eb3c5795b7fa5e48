"""Files that are either whole or not there."""

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PALETTE_SIZE = 256


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file under its name only when all of it is on the disk.

    Raises:
        OSError: The disk is full or the folder can't be written; nothing is
            left behind under the name or beside it.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f'.{path.name}.'
    )
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp keeps others from reading
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f'{path} could not be written ({error.strerror}); '
                'what is there of it was removed',
            ) from error
        raise


def encode_mask(mask: np.ndarray, palette: Sequence[Sequence[int]]) -> bytes:
    """Class ids as the bytes of an 8-bit palette PNG.

    Args:
        mask: Ids 0..255, (H, W).
        palette: RGB colours of the first ids; the others are white.
    """
    # A short palette would have PIL write fewer bits, and clip large ids.
    colors = np.full((PALETTE_SIZE, 3), 255, np.uint8)
    colors[: len(palette)] = palette
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette(colors.ravel().tolist())
    buffer = io.BytesIO()
    image.save(buffer, format='PNG')
    return buffer.getvalue()
