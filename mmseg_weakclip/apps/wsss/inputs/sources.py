"""Choice of validation images, and search for true masks."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.datasets.labels.id_lists import read_id_list
from mmseg_weakclip.datasets.labels.matching import ImageFinder

MAX_VAL = 500


def split_by_hash(
    labels: Mapping[str, Sequence[int]],
    share: float,
    candidates: Sequence[str] = (),
) -> set[str]:
    """Return the validation split, the same on every machine.

    Adding or removing images does not change the order of the others. The
    last image of a class stays in training.

    Args:
        labels: Class ids of each labelled image, by its relative path.
        share: Share of images in the split, 0 to 1; at most MAX_VAL images.
        candidates: Images that may be chosen; all if empty.

    Returns:
        Paths in the split: at least one if there are two images and the
        classes allow it, never all.
    """
    if share == 0 or len(labels) < 2:
        return set()
    wanted = min(max(1, round(share * len(labels))), MAX_VAL, len(labels) - 1)
    left = Counter(i for ids in labels.values() for i in ids)
    chosen: set[str] = set()
    for path in sorted(candidates or labels, key=_digest):
        if len(chosen) == wanted:
            break
        if all(left[i] > 1 for i in labels[path]):
            left.subtract(labels[path])
            chosen.add(path)
    return chosen


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def read_val_list(path: Path, images: Sequence[str]) -> set[str]:
    """Return the images that a user's list names for validation.

    Args:
        path: File with a name per line.
        images: Relative paths of all labelled images.

    Raises:
        UserError: The file is missing, names an image without labels, or
            leaves none to train on.
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
        found = _find(finder, name, f'--val-list {path}')
        if found is None:
            unknown.append(name)
        else:
            chosen.add(found)
    if unknown:
        raise UserError(
            f'--val-list {path} names {count(len(unknown), "image")} that '
            f'lack labels or are missing; the first is {unknown[0]}'
        )
    if len(chosen) == len(images):
        raise UserError(f'--val-list {path} leaves no image to train on')
    return chosen


def _find(finder: ImageFinder, name: str, where: str) -> str | None:
    try:
        return finder.find(name, where)
    except ValueError as error:
        raise UserError(str(error)) from error


def find_truth(folder: Path, images: Sequence[str]) -> dict[str, Path]:
    """Return the true mask of each image that has one.

    Args:
        folder: Folder of PNGs named like the images, subfolders included.
        images: Relative paths of the images.

    Returns:
        File of the mask by path of the image.

    Raises:
        UserError: The folder is missing, holds no PNG, or none that is named
            like an image.
    """
    if not folder.is_dir():
        raise UserError(f'--truth {folder} is not a folder')
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
        image = _find(finder, mask[: -len('.png')], f'--truth {folder}')
        if image is not None:
            found[image] = folder / mask
    if not found:
        raise UserError(
            f'--truth {folder}: no mask is called like an image; the first '
            f'mask is {masks[0]}, the first image {images[0]}'
        )
    return found
