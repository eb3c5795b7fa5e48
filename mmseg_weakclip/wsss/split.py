"""Which images are trained on, and which are kept to look at."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..datasets.id_lists import read_id_list
from .image_ids import ImageFinder
from .problems import WrongUse, count

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
        WrongUse: No such file, a name of no labelled image, or nothing is
            left to train on.
    """
    try:
        listed = read_id_list(path)
    except OSError as error:
        raise WrongUse(f'--val-list {path} does not exist') from error
    except ValueError as error:
        raise WrongUse(f'--val-list: {error}') from error
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
        raise WrongUse(
            f'--val-list {path} names {count(len(unknown), "image")} without '
            f'labels or not there, the first {unknown[0]}'
        )
    if len(chosen) == len(images):
        raise WrongUse(f'--val-list {path} leaves no image to train on')
    return chosen
