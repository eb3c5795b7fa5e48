"""Comparison of a method's masks and another tool's with the truth."""

from typing import Any

import numpy as np

from mmseg_weakclip.apps.run_folder.schema import JOINED
from mmseg_weakclip.apps.run_folder.store import read_json, write_json
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.apps.wsss.scoring import score_masks
from mmseg_weakclip.apps.wsss.stages import joined_folder
from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.evaluation.areas import count_pairs

from .join import METHOD, OUTSIDE_TOOL
from .veto import IGNORED

# What two masks say of a pixel, seen from the truth, in the order of the
# columns of :func:`count_cases`.
CASES = ('both_right', 'method_right', 'outside_right', 'same_wrong',
         'both_wrong')  # fmt: skip


def count_cases(
    method: np.ndarray, outside: np.ndarray, truth: np.ndarray, classes: int
) -> np.ndarray:
    """Count the pixels of each true class by which of two masks is right.

    An open pixel is wrong.

    Args:
        method: Class ids of the method, (H, W).
        outside: Class ids of the other tool, (H, W).
        truth: True class ids; IGNORED pixels do not count, (H, W).
        classes: K.

    Returns:
        Pixels in :data:`CASES`: both are right; one is, and they differ; both
        have the same wrong id; both are wrong, and they differ; int64, (K, 5).
    """
    first, second = method == truth, outside == truth
    cases = np.where(method == outside, 3, 4)
    cases[second] = 2
    cases[first] = 1
    cases[first & second] = 0
    counted = truth != IGNORED
    return count_pairs(truth[counted], cases[counted], (classes, len(CASES)))


def compare_sources(run: Run) -> dict[str, Any] | None:
    """Compare both sources and their join with the truth, where there is any.

    The result is added to the file of the join. No training reads it.

    Args:
        run: Run whose masks are joined.

    Returns:
        ``images``, the number of images with truth; ``mIoU`` of ``method``,
        ``outside`` and ``joined``, in percent, open pixels wrong; and
        ``classes``: pixels by name and by :data:`CASES`. None without truth.
    """
    folders = dict(
        method=METHOD,
        outside=OUTSIDE_TOOL,
        joined=joined_folder(run.options.method),
    )
    names = run.classes.names
    images = [i for i in run.images if i.labels and i.truth is not None]
    summary = {**read_json(run.folder / JOINED), 'truth': None}
    scores = {
        source: score_masks(run.folder / folder, images, run.data, names)
        for source, folder in folders.items()
    }
    if images and all(scores.values()):
        total = np.zeros((len(names), len(CASES)), np.int64)
        for image in images:
            method, outside = (
                read_mask(str(run.folder / folder / f'masks/{image.id}.png'))
                for folder in (METHOD, OUTSIDE_TOOL)
            )
            truth = read_mask(str(run.data / str(image.truth)))
            total += count_cases(method, outside, truth, len(names))
        summary['truth'] = dict(
            images=len(images),
            mIoU={
                name: found['mIoU'] for name, found in scores.items() if found
            },
            classes={
                name: dict(zip(CASES, row))
                for name, row in zip(names, total.tolist())
            },
        )
    write_json(run.folder / JOINED, summary)
    return summary['truth']


def describe_comparison(found: dict[str, Any] | None) -> list[str]:
    """Return the scores of both sources, and which was right, in lines.

    Args:
        found: See :func:`compare_sources`.
    """
    if found is None:
        return []
    means, rows = found['mIoU'], found['classes'].values()
    sums = {case: sum(row[case] for row in rows) for case in CASES}
    differing = max(
        1, sums['method_right'] + sums['outside_right'] + sums['both_wrong']
    )
    method, outside = (
        f'{100 * sums[case] / differing:.0f} %'
        for case in ('method_right', 'outside_right')
    )
    return [
        f'masks of the method {means["method"]:.1f}, of --seeds '
        f'{means["outside"]:.1f}, joined {means["joined"]:.1f} mIoU (unsure '
        'pixels count as wrong)',
        f'where they differ, the method is right on {method}, --seeds on '
        f'{outside} of the pixels',
    ]
