"""Masks under the user's own names, at the size of the user's images."""

from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ..datasets.mask_files import read_mask
from ..files import encode_mask, write_atomically
from ..progress_bar import progress_bar
from .index import ImageEntry
from .run import Run

RESULTS = 'results'
KINDS = {'pseudo_masks': 'masks', 'predictions': 'predictions'}


def collect_results(run: Run) -> dict[str, int]:
    """Write ``results/<kind>/<the user's path>.png`` for every mask.

    Returns:
        Number of masks of each kind.
    """
    written = {}
    for kind, source in KINDS.items():
        todo = [
            (entry, path)
            for entry in run.entries
            if (
                path := run.folder / source / 'masks' / f'{entry.id}.png'
            ).is_file()
        ]
        targets = result_paths([entry for entry, _ in todo])
        for entry, path in progress_bar(len(todo), todo):
            mask = read_mask(str(path))
            wanted = entry.original_height, entry.original_width
            if mask.shape != wanted:
                mask = cv2.resize(
                    mask.astype(np.uint8),
                    wanted[::-1],
                    interpolation=cv2.INTER_NEAREST_EXACT,
                )
            target = run.folder / RESULTS / kind / targets[entry.id]
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, encode_mask(mask, run.classes.palette))
        written[kind] = len(todo)
    return written


def result_paths(entries: list[ImageEntry]) -> dict[str, Path]:
    """Where the mask of each image goes, below the folder of its kind.

    The user's path with the suffix .png; after the old suffix where two
    images differ in it only.
    """
    plain = {
        entry.id: PurePosixPath(entry.source).with_suffix('.png')
        for entry in entries
    }
    seen: dict[str, int] = {}
    for path in plain.values():
        key = str(path).casefold()
        seen[key] = seen.get(key, 0) + 1
    return {
        entry.id: Path(
            plain[entry.id]
            if seen[str(plain[entry.id]).casefold()] == 1
            else f'{entry.source}.png'
        )
        for entry in entries
    }
