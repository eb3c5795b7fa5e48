"""How well found texts, or classes, agree with true ones."""

from collections.abc import Collection, Hashable, Mapping
from typing import NamedTuple


class PrecisionRecall(NamedTuple):
    """Shares of texts, in [0, 1]; NaN where there are none to share.

    Attributes:
        precision: Of the found texts, those that are true.
        recall: Of the true texts, those that were found.
    """

    precision: float
    recall: float


def precision_recall(
    found: Mapping[Hashable, Collection[Hashable]],
    truth: Mapping[Hashable, Collection[Hashable]],
) -> PrecisionRecall:
    """Compare texts over all keys, each text counting once (micro average).

    Args:
        found: Texts of each key, such as an (image, class) pair.
        truth: True texts of each key. Those of keys that were not found are
            missed.

    Raises:
        ValueError: A key was found of which the truth is not known.
    """
    unknown = [key for key in found if key not in truth]
    if unknown:
        raise ValueError(
            f'the truth lacks {len(unknown)} of {len(found)} keys, the first '
            f'is {unknown[0]!r}'
        )
    hits = sum(len(set(t) & set(truth[key])) for key, t in found.items())
    taken = sum(len(set(texts)) for texts in found.values())
    wanted = sum(len(set(texts)) for texts in truth.values())
    return PrecisionRecall(
        hits / taken if taken else float('nan'),
        hits / wanted if wanted else float('nan'),
    )
