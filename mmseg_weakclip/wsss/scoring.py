"""Scores of all masks of a run, where the user has masks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.mask_files import read_mask
from ..evaluation.scores import class_ious
from ..files import write_atomically
from .index import ImageEntry
from .run import Run

SCORES = 'scores.json'
ROLES = {'seeds': 'seeds', 'masks': 'masks', 'predictions': 'predictions'}
IGNORE_INDEX = 255


def confusion_matrix(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int
) -> np.ndarray:
    """Pixels of each pair of true and predicted class.

    Args:
        prediction: Class ids, (H, W). Ids that are no class count in the
            last column.
        truth: Class ids, (H, W); its ignored pixels don't count.
        num_classes: K.

    Returns:
        int64, (K, K + 1), rows are true classes.
    """
    counted = truth != IGNORE_INDEX
    columns = num_classes + 1
    predicted = np.minimum(prediction[counted], num_classes).astype(np.int64)
    pairs = truth[counted].astype(np.int64) * columns + predicted
    counts = np.bincount(pairs, minlength=num_classes * columns)
    return counts.reshape(num_classes, columns)


def areas_of(matrix: np.ndarray) -> np.ndarray:
    """Intersection, prediction and truth of each class, (3, K)."""
    num_classes = len(matrix)
    return np.stack(
        [
            matrix[:, :num_classes].diagonal(),
            matrix[:, :num_classes].sum(0),
            matrix.sum(1),
        ]
    )


def score_masks(
    folder: Path,
    entries: Sequence[ImageEntry],
    data: Path,
    names: Sequence[str],
) -> dict[str, Any] | None:
    """IoU of masks against the user's; None if none can be compared.

    Args:
        folder: With ``masks/<id>.png``.
        entries: Images; those without a mask in the folder, or without
            truth, don't count.
        data: Where the truth lies.
        names: Of all classes.
    """
    total, images = np.zeros((len(names), len(names) + 1), np.int64), 0
    for entry in entries:
        path = folder / 'masks' / f'{entry.id}.png'
        if entry.truth is None or not path.is_file():
            continue
        total += confusion_matrix(
            read_mask(str(path)), read_mask(str(data / entry.truth)),
            len(names),
        )  # fmt: skip
        images += 1
    if not images:
        return None
    ious = class_ious(areas_of(total))
    return dict(
        images=images,
        mIoU=round(float(np.nanmean(ious)), 2),
        IoU={
            name: None if np.isnan(iou) else round(float(iou), 2)
            for name, iou in zip(names, ious)
        },
        confusion=total[:, :-1].tolist(),
    )


def write_scores(run: Run) -> dict[str, Any]:
    """Score seeds, pseudo masks and predictions, by split.

    Returns:
        What ``scores.json`` holds: by role and split, see
        :func:`score_masks`. No file without any truth.
    """
    names = run.classes.names
    roles: dict[str, dict[str, Any]] = {}
    for role, folder in ROLES.items():
        for split in ('train', 'val', 'unlabelled'):
            scores = score_masks(
                run.folder / folder,
                [entry for entry in run.entries if entry.split == split],
                run.data,
                names,
            )
            if scores is not None:
                roles.setdefault(role, {})[split] = scores
    path = run.folder / SCORES
    if roles:
        write_atomically(path, json.dumps(dict(roles=roles)).encode())
    else:
        path.unlink(missing_ok=True)
    return roles


def describe_scores(roles: dict[str, Any]) -> list[str]:
    """The mean IoUs, a line for each kind of masks."""
    titles = {
        'seeds': 'seeds (labels given)',
        'masks': 'pseudo masks (labels given)',
        'predictions': 'segmenter (no labels)',
    }
    return [
        f'{titles[role]:28} '
        + ', '.join(
            f'{split} {scores["mIoU"]:.1f} mIoU ({scores["images"]} images)'
            for split, scores in splits.items()
        )
        for role, splits in roles.items()
    ]
