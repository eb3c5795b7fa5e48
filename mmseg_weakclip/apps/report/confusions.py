"""What a confusion matrix says: shares of classes, and what is mistaken."""

from typing import NamedTuple

import numpy as np


class Confusion(NamedTuple):
    """Pixels of one class that were taken for another.

    Attributes:
        truth: Id of their class.
        prediction: Id of what they were taken for.
        pixels: How many they are.
        share: Of all pixels of their class, 0 to 1.
    """

    truth: int
    prediction: int
    pixels: int
    share: float


def normalize_rows(confusion: np.ndarray) -> np.ndarray:
    """Shares of the true class, 0 to 1; NaN where it has no pixel.

    Args:
        confusion: Pixels, (K, K), rows truth.
    """
    totals = confusion.sum(1, keepdims=True)
    with np.errstate(invalid='ignore'):
        return confusion / totals


def find_confusions(confusion: np.ndarray, count: int) -> list[Confusion]:
    """What is taken for something else, the largest shares first.

    Args:
        confusion: Pixels, (K, K), rows truth.
        count: How many at most.
    """
    shares = normalize_rows(confusion)
    wrong = [
        Confusion(int(i), int(j), int(confusion[i, j]), float(shares[i, j]))
        for i, j in np.argwhere(confusion)
        if i != j
    ]
    return sorted(wrong, key=lambda c: (-c.share, -c.pixels))[:count]
