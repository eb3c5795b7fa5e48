"""What methods do with the same photos: agreement, tags, scores and time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmseg_weakclip.apps.report.compare import IGNORED, disagreement
from mmseg_weakclip.common.overlay import class_shares
from mmseg_weakclip.evaluation.areas import (
    areas_of,
    class_ious,
    confusion_matrix,
)

# Shares of a photo: a smaller class is suspiciously small, a larger one
# covers everything.
TINY, EVERYWHERE = 0.005, 0.9


@dataclass(frozen=True)
class Agreement:
    """How far two methods agree.

    Attributes:
        pixels: Mean over photos of the share of pixels with the same class
            among those to which both give one, 0 to 1; None without any.
        miou: Mean IoU of one's masks against the other's, in percent, over
            the same pixels of all photos and the classes of either; None
            without any.
    """

    pixels: float | None
    miou: float | None


@dataclass(frozen=True)
class TagCounts:
    """What a method does with the photos of a tag.

    Attributes:
        photos: Number of photos with the tag.
        missed: Number of those without a pixel of its class.
        tiny: Number of those with less than :data:`TINY`, but some.
        everywhere: Number of those with more than :data:`EVERYWHERE`.
        median: Median share of the class, 0 to 1.
    """

    photos: int
    missed: int
    tiny: int
    everywhere: int
    median: float


def agreement(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], classes: int
) -> Agreement:
    """Compare the masks of two methods.

    Args:
        first: Class ids of each photo, (H, W); 255 marks pixels without one.
        second: Masks of the same photos by another method.
        classes: Number of classes K, background included.
    """
    shares = [
        1 - share
        for one, other in zip(first, second, strict=True)
        if (share := disagreement(one, other)) is not None
    ]
    counted = [
        np.where(one == IGNORED, IGNORED, other)
        for one, other in zip(first, second, strict=True)
    ]
    return Agreement(
        float(np.mean(shares)) if shares else None,
        mean_iou(first, counted, classes),
    )


def mean_iou(
    masks: Sequence[np.ndarray], truths: Sequence[np.ndarray], classes: int
) -> float | None:
    """Return the mean IoU, in percent, over the classes that occur.

    Args:
        masks: Class ids of each photo, (H, W); 255 counts as wrong. Else the
            masks that leave the hardest pixels unsure would score best.
        truths: True masks of them; pixels that are 255 here do not count.
        classes: Number of classes K.

    Returns:
        0 to 100; None without a pixel that counts.
    """
    total = np.zeros((classes, classes + 1), np.int64)
    for mask, truth in zip(masks, truths, strict=True):
        total += confusion_matrix(mask, truth, classes)
    if not total.any():
        return None
    return float(np.nanmean(class_ious(areas_of(total))))


def labelled_share(masks: Sequence[np.ndarray]) -> float:
    """Return the share of pixels that have a class, the background included.

    Args:
        masks: Class ids of one photo or more, (H, W); 255 marks pixels
            without one.

    Returns:
        Mean over the photos, 0 to 1.
    """
    return float(np.mean([(mask != IGNORED).mean() for mask in masks]))


def agreements(
    masks: Sequence[Sequence[np.ndarray]], classes: int
) -> dict[tuple[int, int], Agreement]:
    """Compare all pairs of methods; the keys are their places, i < j."""
    return {
        (i, j): agreement(masks[i], masks[j], classes)
        for i, j in combinations(range(len(masks)), 2)
    }


def count_tags(
    masks: Sequence[np.ndarray], tags: Sequence[Sequence[int]], classes: int
) -> dict[int, TagCounts]:
    """Count what a method does with each tag.

    Args:
        masks: Class ids of each photo, (H, W).
        tags: Class ids of the tags of each photo.
        classes: Number of classes K.

    Returns:
        Counts by class id, of the tags that some photo has.
    """
    shares: dict[int, list[float]] = {}
    for mask, own in zip(masks, tags, strict=True):
        covered = class_shares(mask, classes)
        for tag in own:
            shares.setdefault(tag, []).append(float(covered[tag]))
    return {
        tag: TagCounts(
            photos=len(shares[tag]),
            missed=_count(shares[tag], lambda share: share == 0),
            tiny=_count(shares[tag], lambda share: 0 < share < TINY),
            everywhere=_count(shares[tag], lambda share: share > EVERYWHERE),
            median=float(np.median(shares[tag])),
        )
        for tag in sorted(shares)
    }


def _count(shares: Sequence[float], holds: Callable[[float], bool]) -> int:
    return sum(map(holds, shares))
