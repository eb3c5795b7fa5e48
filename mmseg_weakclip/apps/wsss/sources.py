"""Which images are trained on, which are kept, and which have masks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.datasets.labels.id_lists import read_id_list

from .images import ImageFinder

MAX_VAL = 500


def split_by_hash(
    images: Sequence[str], share: float, candidates: Sequence[str] = ()
) -> set[str]:
    """The images of the validation split, the same on every machine.

    An image keeps its place in the order when others come or go.

    Args:
        images: Relative paths of all labelled images.
        share: Of them that is kept, 0 to 1; at most MAX_VAL images.
        candidates: Those that may be kept; none: any.

    Returns:
        At least one image if there are two, and never all.
    """
    if share == 0 or len(images) < 2:
        return set()
    number = min(max(1, round(share * len(images))), MAX_VAL)
    pool = sorted(candidates or images, key=_digest)
    return set(pool[: min(number, len(images) - 1)])


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def read_val_list(path: Path, images: Sequence[str]) -> set[str]:
    """The images that a user's list names for validation.

    Args:
        path: A name per line, see ``read_id_list``.
        images: Relative paths of all labelled images.

    Raises:
        UserError: No such file, a name of no labelled image, or nothing is
            left to train on.
    """
    try:
        listed = read_id_list(path)
    except OSError as error:
        raise UserError(f'--val-list {path} does not exist') from error
    except ValueError as error:
        raise UserError(f'--val-list: {error}') from error
    finder = ImageFinder(images)
    chosen, unknown = set(), []
    for image in listed:
        name = image.name + image.suffix
        found = finder.find(name, f'--val-list {path}')
        if found is None:
            unknown.append(name)
        else:
            chosen.add(found)
    if unknown:
        raise UserError(
            f'--val-list {path} names {count(len(unknown), "image")} without '
            f'labels or not there, the first {unknown[0]}'
        )
    if len(chosen) == len(images):
        raise UserError(f'--val-list {path} leaves no image to train on')
    return chosen


def find_truth(folder: Path, images: Sequence[str]) -> dict[str, Path]:
    """The mask of each image that has one.

    Args:
        folder: Of PNGs, called like the images, in any folders.
        images: Relative paths of the images.

    Returns:
        Mask by path of the image.

    Raises:
        UserError: No such folder, no PNG in it, or none belongs to an image.
    """
    if not folder.is_dir():
        raise UserError(f'--truth {folder} is no folder')
    masks = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.suffix.lower() == '.png'
    )
    if not masks:
        raise UserError(f'--truth {folder} holds no PNG')
    finder = ImageFinder(images)
    found: dict[str, Path] = {}
    for mask in masks:
        image = finder.find(mask[: -len('.png')], f'--truth {folder}')
        if image is not None:
            found[image] = folder / mask
    if not found:
        raise UserError(
            f'--truth {folder}: no mask is called like an image; the first '
            f'mask is {masks[0]}, the first image {images[0]}'
        )
    return found
