"""Links or smaller copies of images and masks, for the stages to read."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mmseg_weakclip.common.files import digest_bytes, write_atomically
from mmseg_weakclip.common.image_headers import decode_image_size
from mmseg_weakclip.common.images import decode_image
from mmseg_weakclip.common.masks import (
    check_mask_ids,
    check_mask_size,
    encode_mask,
    read_mask,
)

JPEG_QUALITY = 95
IGNORED = 255


@dataclass(frozen=True)
class CopyTask:
    """One image to copy, and its mask if it has one.

    Attributes:
        image_id: Id of the image.
        source: File of the user.
        folder: Folder with ``images/`` and ``truth/``.
        max_side: Longest side in pixels; larger images are reduced to it.
        truth: Mask of the user, or None.
        palette: RGB of all classes.
    """

    image_id: str
    source: str
    folder: str
    max_side: int
    truth: str | None
    palette: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CopyResult:
    """Outcome of copying one image.

    Attributes:
        image_id: Id of the image.
        file: Name of the image in ``images/``; '' if it cannot be read.
        size: Height and width of this file, in pixels, as viewers show it.
        original_size: Height and width of the user's file.
        digest: Digest of the user's file.
        error: Why the image cannot be used; '' if it can.
        note: How the values of the pixels were scaled; '' for 8-bit images.
        truth_ids: Ids in the mask, without 255.
    """

    image_id: str
    file: str = ''
    size: tuple[int, int] = (0, 0)
    original_size: tuple[int, int] = (0, 0)
    digest: str = ''
    error: str = ''
    note: str = ''
    truth_ids: frozenset[int] = frozenset()


def copy_image(task: CopyTask) -> CopyResult:
    """Decode an image, and link or copy it into the data folder.

    Images are linked, or copied where links are not allowed; those that are
    too long are scaled and kept as JPEG, those of another depth or
    orientation, or in a format that few programs read, are kept as PNG.
    """
    try:
        content = Path(task.source).read_bytes()
        decoded = decode_image(content, task.source)
        size = decode_image_size(content, task.source)
    except OSError as error:
        reason = 'is a dead link' if os.path.islink(task.source) else error
        return CopyResult(task.image_id, error=f'{task.source}: {reason}.')
    except ValueError as error:
        return CopyResult(task.image_id, error=' '.join(str(error).split()))
    if decoded.pixels.shape[:2] != size:
        return CopyResult(
            task.image_id,
            error=f'{task.source} decodes to another size than it states',
        )
    folder = Path(task.folder)
    scale = task.max_side / max(size)
    height, width = size
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in size[::-1])
        small = cv2.resize(
            decoded.pixels, (width, height), interpolation=cv2.INTER_AREA
        )
        name = f'{task.image_id}.jpg'
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        shrunk = cv2.imencode('.jpg', small, quality)[1].tobytes()
        # A link of an earlier run is replaced, not written through.
        write_atomically(folder / 'images' / name, shrunk)
    elif not decoded.is_plain:
        name = f'{task.image_id}.png'
        encoded = cv2.imencode('.png', decoded.pixels)[1].tobytes()
        write_atomically(folder / 'images' / name, encoded)
    else:
        name = task.image_id + Path(task.source).suffix.lower()
        link_file(Path(task.source), folder / 'images' / name)
    truth_ids: frozenset[int] = frozenset()
    try:
        if task.truth is not None:
            truth_ids = copy_truth(task, size, (height, width))
    except (OSError, ValueError) as error:
        return CopyResult(task.image_id, error=' '.join(str(error).split()))
    return CopyResult(
        task.image_id,
        name,
        (height, width),
        size,
        digest_bytes(content),
        note=decoded.note,
        truth_ids=truth_ids,
    )


def copy_truth(
    task: CopyTask, size: tuple[int, int], wanted: tuple[int, int]
) -> frozenset[int]:
    """Check a mask, copy it into the data folder, and return its ids.

    Args:
        task: Task with the mask.
        size: Height and width of the user's image.
        wanted: Height and width of the image that the stages read.

    Raises:
        ValueError: The mask is damaged, of another size, or has unknown ids.
    """
    if task.truth is None:
        return frozenset()
    mask = read_mask(task.truth)
    check_mask_size(mask, task.truth, size, task.source)
    check_mask_ids(mask, task.truth, range(len(task.palette)))
    path = Path(task.folder) / 'truth' / f'{task.image_id}.png'
    mask = mask.astype(np.uint8)
    if mask.shape != wanted:
        mask = cv2.resize(
            mask, wanted[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
    write_atomically(path, encode_mask(mask, task.palette))
    return frozenset(np.unique(mask).tolist()) - {IGNORED}


def link_file(source: Path, path: Path) -> None:
    """Link a file under another name, or copy it if links are impossible."""
    source = source.resolve()
    part = path.with_name(f'.{path.name}.part')
    part.unlink(missing_ok=True)
    try:
        part.symlink_to(source)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, path)
