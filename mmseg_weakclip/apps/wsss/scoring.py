"""Scores of a run's masks against those of the user."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.apps.run_folder.schema import (
    ROLES,
    SCORES,
    SPLITS,
    RunImage,
)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.masks import encode_mask, read_mask
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.evaluation.areas import (
    areas_of,
    class_ious,
    confusion_matrix,
)

from .run import Run
from .stages import stages_of

RESULTS = 'results'
# Absent classes that a line names.
NAMED = 10


def score_masks(
    folder: Path,
    images: Sequence[RunImage],
    data: Path,
    names: Sequence[str],
    on_image: Callable[[], object] = lambda: None,
) -> dict[str, Any] | None:
    """Return the IoU of masks against the user's; None without any.

    Args:
        folder: Folder with ``masks/<id>.png``.
        images: Images to score; those without a mask in the folder or
            without truth are skipped.
        data: Folder of the true masks.
        names: Class names, background first.
        on_image: Function to call after each image.
    """
    total, scored = np.zeros((len(names), len(names) + 1), np.int64), 0
    for image in images:
        on_image()
        path = folder / 'masks' / f'{image.id}.png'
        if image.truth is None or not path.is_file():
            continue
        total += confusion_matrix(
            read_mask(str(path)), read_mask(str(data / image.truth)),
            len(names),
        )  # fmt: skip
        scored += 1
    if not scored:
        return None
    ious = class_ious(areas_of(total))
    return dict(
        images=scored,
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
        Scores by role and split, as in ``scores.json``, which is not written
        without truth.
    """
    names = run.classes.names
    roles: dict[str, dict[str, Any]] = {}
    if not run.has_truth:
        (run.folder / SCORES).unlink(missing_ok=True)
        return roles
    options = run.options
    stages = stages_of(options.method, options.rounds, joined=options.joins)
    made = [role for role in ROLES if any(s.folder == role for s in stages)]
    with progress_bar('score', len(made) * len(run.images)) as bar:
        for role in made:
            for split in SPLITS:
                scores = score_masks(
                    run.folder / role,
                    [image for image in run.images if image.split == split],
                    run.data,
                    names,
                    bar.update,
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
    """Return the mean IoUs, a line for each kind of masks.

    Classes that the true masks do not show are named.
    """
    titles = {
        'seeds': 'seeds (labels given)',
        'masks': 'pseudo masks (labels given)',
        'masks_2': 'those of round 2 (labels given)',
        'predictions': 'segmenter (no labels)',
    }
    lines = [
        f'{titles[role]:32} '
        + ', '.join(
            f'{split} {scores["mIoU"]:.1f} mIoU ({count_scored(scores)})'
            for split, scores in splits.items()
        )
        for role, splits in roles.items()
    ]
    for splits in list(roles.values())[:1]:
        for split, scores in splits.items():
            absent = absent_classes(scores)
            if absent:
                more = ', ...' if len(absent) > NAMED else ''
                lines.append(
                    f'no mask of {split} shows {", ".join(absent[:NAMED])}'
                    f'{more}: these count only where they are predicted, as 0'
                )
    return lines


def count_scored(scores: dict[str, Any]) -> str:
    """Return over how many images, and classes if not all, a mean is."""
    ious = scores['IoU']
    number = sum(iou is not None for iou in ious.values())
    images = count(scores['images'], 'image')
    if number == len(ious):
        return images
    return f'{images}, {number} of {len(ious)} classes'


def absent_classes(scores: dict[str, Any]) -> list[str]:
    """Return the classes that no pixel of the true masks has."""
    rows = np.array(scores['confusion']).sum(1)
    return [name for name, pixels in zip(scores['IoU'], rows) if not pixels]


def collect_results(run: Run) -> dict[str, int]:
    """Write ``results/<kind>/<the user's path>.png`` for every mask.

    Returns:
        Number of masks of each kind.
    """
    rounds = run.options.rounds
    kinds = dict(
        pseudo_masks='masks' if rounds == 1 else 'masks_2',
        predictions='predictions',
    )
    written = {}
    for kind, source in kinds.items():
        todo = [
            (entry, path)
            for entry in run.images
            if (
                path := run.folder / source / 'masks' / f'{entry.id}.png'
            ).is_file()
        ]
        targets = result_paths([entry for entry, _ in todo])
        for entry, path in progress_bar(
            kind.replace('_', ' '), len(todo), todo
        ):
            mask = read_mask(str(path))
            wanted = entry.original_size
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


def result_paths(images: list[RunImage]) -> dict[str, Path]:
    """Return the path of each image's mask, below the folder of its kind.

    This is the image's path with the suffix .png, which is appended to the
    old suffix where two images differ only in that.
    """
    plain = {
        entry.id: PurePosixPath(entry.source).with_suffix('.png')
        for entry in images
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
        for entry in images
    }
