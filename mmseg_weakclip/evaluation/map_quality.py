"""Quality of class maps: their ranking, coverage and purity."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class MapQuality(NamedTuple):
    """Quality of one class map.

    Attributes:
        ranking: Probability that a pixel of the class scores above another
            pixel, equal scores counting half (the area under the ROC curve).
            Below 0.5 the map has the wrong sign.
        coverage: Share of the class's pixels above the threshold; low if
            only discriminative parts are found.
        purity: Share of the pixels above the threshold that belong to the
            class; NaN if there are none.
    """

    ranking: float
    coverage: float
    purity: float


def map_quality(
    cam: np.ndarray, inside: np.ndarray, threshold: float = 0.5
) -> MapQuality:
    """Compare a class map with the truth, for analysis, not for training.

    Args:
        cam: Scores of any shape, without ignored pixels.
        inside: Whether a pixel belongs to the class, bool, same shape.
        threshold: Score from which on a pixel counts as found.

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
    """Average the quality of many maps, in percent.

    Args:
        qualities: Quality of each map.

    Returns:
        ``wrong_sign``, share of the maps with a ranking below 0.5, and the
        means of ``coverage`` and ``purity`` (of those that mark anything).

    Raises:
        ValueError: There are no maps.
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
    """Return the quality of an image's maps.

    Classes that have no pixels, or all of them, are left out.

    Args:
        scores: Class maps, (P, H, W).
        classes: Ids of their classes in ``truth``, P of them.
        truth: Class ids, (H, W).
        threshold: Score from which on a pixel counts as found.
        ignore_index: Id of the pixels of ``truth`` that do not count.
    """
    counted = truth != ignore_index
    truth = truth[counted]
    qualities = []
    for cam, label in zip(scores, classes, strict=True):
        inside = truth == label
        if inside.any() and not inside.all():
            qualities.append(map_quality(cam[counted], inside, threshold))
    return qualities
