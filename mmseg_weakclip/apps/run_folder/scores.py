"""The scores of a run: IoU and confusion for each role and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .fields import RunError, check_kind, read_json, take


@dataclass(frozen=True, eq=False)
class SplitScores:
    """Masks of a role against the truth of a split.

    Attributes:
        images: How many were scored.
        miou: Mean IoU in percent; None where no class has any pixel.
        ious: IoU of each class in percent; None where it has no pixel.
        confusion: Pixels, int64, (K, K): rows truth, columns prediction.
    """

    images: int
    miou: float | None
    ious: tuple[float | None, ...]
    confusion: np.ndarray


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


def read_scores(
    path: Path,
    names: Sequence[str],
    roles: Sequence[str],
    splits: Sequence[str],
) -> dict[str, dict[str, SplitScores]]:
    """Scores by role and split, in the order of both.

    Args:
        path: The file.
        names: Of all classes, K.
        roles: That it may score.
        splits: That it may score them on.

    Raises:
        RunError: The file is damaged, or about other classes.
    """
    found = take(read_json(path), 'roles', str(path), 'object')
    for role in found:
        if role not in roles:
            raise RunError(f'{path}: {role!r} is none of the roles {roles}')
        for split in take(found, role, str(path), 'object'):
            if split not in splits:
                raise RunError(f'{path}: {split!r} is no split of {splits}')
    return {
        role: {
            split: _read_split(
                found[role][split], names, f'{path}: {role}, {split}'
            )
            for split in splits
            if split in found[role]
        }
        for role in roles
        if found.get(role)
    }


def _read_split(record: Any, names: Sequence[str], where: str) -> SplitScores:
    by_name = take(record, 'IoU', where, 'object')
    if set(by_name) != set(names):
        differing = sorted(set(by_name) ^ set(names))
        raise RunError(
            f'{where}: IoU and classes.json differ in the classes {differing}'
        )
    rows = take(record, 'confusion', where, 'list')
    side = len(names)
    if len(rows) != side or any(
        not isinstance(row, list) or len(row) != side for row in rows
    ):
        raise RunError(f'{where}: confusion must be {side} x {side}')
    for row in rows:
        for value in row:
            check_kind(value, f'{where}: confusion', 'whole number')
            if value < 0:
                raise RunError(f'{where}: confusion has {value} pixels')
    return SplitScores(
        images=take(record, 'images', where, 'whole number'),
        miou=take(record, 'mIoU', where, 'number', 'null'),
        ious=tuple(
            take(by_name, name, where, 'number', 'null') for name in names
        ),
        confusion=np.array(rows, np.int64).reshape(side, side),
    )


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
