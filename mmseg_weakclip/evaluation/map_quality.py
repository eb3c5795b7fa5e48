"""What is wrong with a class map: its sign, its reach, or its restraint."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class MapQuality(NamedTuple):
    """One class map against the pixels of its class.

    Attributes:
        ranking: Probability that a pixel of the class scores above one that
            is not of it, equal scores counting half (the area under the ROC
            curve). Below 0.5 the map has the wrong sign.
        coverage: Share of the class's pixels above the threshold. Low where
            only telling parts light up.
        purity: Share of the pixels above the threshold that are the class's;
            NaN where there are none.
    """

    ranking: float
    coverage: float
    purity: float


def map_quality(
    cam: np.ndarray, inside: np.ndarray, threshold: float = 0.5
) -> MapQuality:
    """Compare a class map with the truth. An analysis, not for training.

    Args:
        cam: Scores of any shape.
        inside: bool, of the same shape; pixels of the class. Leave ignored
            pixels out of both.
        threshold: Of the score.

    Raises:
        ValueError: The shapes differ, or the class has no pixels or all.
    """
    if cam.shape != inside.shape:
        raise ValueError(f'a map {cam.shape} with a mask {inside.shape}')
    own = int(inside.sum())
    others = inside.size - own
    if not own or not others:
        raise ValueError(f'the class has {own} of {inside.size} pixels')
    _, index, counts = np.unique(cam, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks (Mann and Whitney).
    ranks = np.cumsum(counts) - (counts - 1) / 2
    total = ranks[index.reshape(cam.shape)][inside].sum()
    marked = cam > threshold
    hits = int((marked & inside).sum())
    found = int(marked.sum())
    return MapQuality(
        float((total - own * (own + 1) / 2) / (own * others)),
        hits / own,
        hits / found if found else float('nan'),
    )


def summarize_quality(qualities: Sequence[MapQuality]) -> dict[str, float]:
    """Of many maps, in percent.

    Returns:
        ``wrong_sign``, share of the maps with a ranking below 0.5, and the
        means of ``coverage`` and ``purity`` (of those that mark anything).

    Raises:
        ValueError: There are none.
    """
    if not qualities:
        raise ValueError('no class map to summarise')
    ranking, coverage, purity = np.asarray(qualities, float).T
    pure = purity[~np.isnan(purity)]
    return dict(
        wrong_sign=100 * float((ranking < 0.5).mean()),
        coverage=100 * float(coverage.mean()),
        purity=100 * float(pure.mean()) if len(pure) else float('nan'),
    )


def sample_quality(
    scores: np.ndarray,
    classes: Sequence[int],
    truth: np.ndarray,
    threshold: float = 0.5,
    ignore_index: int = 255,
) -> list[MapQuality]:
    """Quality of an image's maps, of those classes that have pixels.

    Args:
        scores: Maps, (P, H, W).
        classes: Their ids in ``truth``, P of them.
        truth: Class ids, (H, W).
        threshold: See :func:`map_quality`.
        ignore_index: Pixels of ``truth`` that do not count.
    """
    counted = truth != ignore_index
    truth = truth[counted]
    qualities = []
    for cam, label in zip(scores, classes, strict=True):
        inside = truth == label
        if inside.any() and not inside.all():
            qualities.append(map_quality(cam[counted], inside, threshold))
    return qualities
