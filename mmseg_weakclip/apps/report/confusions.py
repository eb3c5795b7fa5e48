"""Shares and largest confusions of a confusion matrix."""

from typing import NamedTuple

import numpy as np


class Confusion(NamedTuple):
    """Pixels of one class that were taken for another.

    Attributes:
        truth: Id of their true class.
        prediction: Id of the predicted class.
        pixels: Number of the pixels.
        share: Share of these among all pixels of the true class, 0 to 1.
    """

    truth: int
    prediction: int
    pixels: int
    share: float


def normalize_rows(confusion: np.ndarray) -> np.ndarray:
    """Return shares of the true class, 0 to 1; NaN if it has no pixel.

    Args:
        confusion: Numbers of pixels, (K, K), rows truth.
    """
    totals = confusion.sum(1, keepdims=True)
    with np.errstate(invalid='ignore'):
        return confusion / totals


def find_confusions(confusion: np.ndarray, count: int) -> list[Confusion]:
    """Return the confusions of a matrix, largest shares first.

    Args:
        confusion: Numbers of pixels, (K, K), rows truth.
        count: Number of confusions to return at most.
    """
    shares = normalize_rows(confusion)
    wrong = [
        Confusion(int(i), int(j), int(confusion[i, j]), float(shares[i, j]))
        for i, j in np.argwhere(confusion)
        if i != j
    ]
    return sorted(wrong, key=lambda c: (-c.share, -c.pixels))[:count]
