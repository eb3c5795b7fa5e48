"""Scores of classes as npz: class maps of this package, or other floats."""

import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmseg_weakclip.common.names import BACKGROUND, NameIndex, name_key

from .source import REST, FolderMasks, Size, check_size

# A probability above it is more likely than not.
THRESHOLD = 0.5


@dataclass(frozen=True)
class ScoreMaps(FolderMasks):
    """npz files with ``scores``, (n, H, W), and ``classes``, (n,).

    The scores are floats in [0, 1]; or bytes of 0 to 255 with the ``size`` to
    enlarge them to, as this package stores class maps. The classes are names,
    or ids, of which 0 is the background and 1 the first name.

    A pixel gets the class of its highest score, among those that the image
    has, unless that is the background. Without scores of a background, it is
    background where none exceeds the threshold.

    Attributes:
        threshold: Score of the background.
    """

    threshold: float = THRESHOLD

    title: ClassVar[str] = 'npz files with scores'

    def read(
        self, image: str, sizes: Sequence[Size], allowed: Collection[int]
    ) -> np.ndarray:
        """Return the mask of an image; see :class:`OutsideMasks`."""
        (file,) = self.files[image]
        scores, classes = load_score_maps(file.path)
        check_size(scores.shape[1:], str(file.path), image, sizes)
        values = np.array(
            [class_value(item, self.names, file.path) for item in classes],
            np.int32,
        )
        if REST not in values:
            rest = np.full((1, *scores.shape[1:]), self.threshold, np.float32)
            scores = np.concatenate([rest, scores])
            values = np.append(np.int32(REST), values)
        best = values[scores.argmax(0)]
        true = np.isin(values, (REST, *allowed))
        own = values[true][scores[true].argmax(0)]
        return np.where(own == REST, best, own)


def load_score_maps(path: Path) -> tuple[np.ndarray, list[int | str]]:
    """Load the scores of one image.

    Returns:
        Scores in [0, 1], float32, (n, H, W), and their n names or ids.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    try:
        with np.load(path) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} is no npz of arrays: {error}') from error
    stored = {'scores', 'classes', 'size'} <= found.keys()
    if stored and found['scores'].dtype == np.uint8:
        from mmseg_weakclip.pseudo_masks.store import load_scores

        maps, ids = load_scores(path)
        return maps.numpy(), ids.tolist()
    missing = sorted({'scores', 'classes'} - found.keys())
    if missing:
        raise ValueError(
            f'{path} lacks {" and ".join(missing)}: it must hold scores, '
            'floats in [0, 1] of (classes, height, width), and classes, '
            'their names or ids'
        )
    scores, classes = found['scores'], found['classes']
    if scores.ndim != 3 or classes.shape != scores.shape[:1]:
        raise ValueError(
            f'{path}: scores of shape {scores.shape} and classes of shape '
            f'{classes.shape} do not fit; expected (n, height, width) and (n,)'
        )
    if not all(scores.shape[1:]):
        raise ValueError(f'{path}: scores of {scores.shape} have no pixel')
    # None of a photo in which nothing was found.
    if (
        scores.dtype.kind != 'f'
        or scores.size
        and not (scores.min() >= 0 and scores.max() <= 1)
    ):
        raise ValueError(
            f'{path}: scores must be floats in [0, 1] (is it logits? apply a '
            'sigmoid or softmax first)'
        )
    return scores.astype(np.float32), classes.tolist()


def class_value(item: int | str, names: Sequence[str], path: Path) -> int:
    """Return the value of a class that a file names or numbers.

    Args:
        item: Name or id.
        names: Names of the classes, from id 1.
        path: File, for the message.

    Raises:
        ValueError: There is no such class.
    """
    if isinstance(item, str):
        if name_key(item) == BACKGROUND:
            return REST
        index = NameIndex(names).find(item)
        if index is not None:
            return index + 1
    elif isinstance(item, int) and 0 <= item <= len(names):
        return item
    raise ValueError(
        f'{path} has scores of the class {item!r}; known are 0 (background) '
        f'to {len(names)}: {", ".join(names[:10])}. List other names by '
        '--seed-classes'
    )
