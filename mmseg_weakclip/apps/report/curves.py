"""Losses and validation mIoU that the trainings of a run logged."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.run_folder.schema import RunError, require
from mmseg_weakclip.apps.run_folder.store import RunFolder

PATTERN = '*/vis_data/scalars.json'
TOTAL, SCORE = 'loss', 'mIoU'


@dataclass(frozen=True)
class Curve:
    """Values over steps; infinite ones and NaN are only counted."""

    steps: tuple[int, ...]
    values: tuple[float, ...]
    not_finite: int = 0


@dataclass(frozen=True)
class Training:
    """The log of one training.

    Attributes:
        title: Title of the training stage.
        losses: Name -> curve over iterations; the total, ``loss``, first.
        miou: Curve over validations, in percent.
        miou_unit: Unit of the steps of ``miou``, ``'iteration'`` or
            ``'epoch'``.
    """

    title: str
    losses: dict[str, Curve]
    miou: Curve
    miou_unit: str


@dataclass
class _Log:
    """Lines of mmengine's scalar files, resumed runs joined."""

    losses: list[dict] = field(default_factory=list)
    scores: list[dict] = field(default_factory=list)

    def append(self, records: Sequence[dict]) -> None:
        """Add a later file; steps that it repeats replace earlier ones."""
        losses = [record for record in records if TOTAL in record]
        if not losses:
            return  # of a test, or of a training that logged nothing yet
        first = losses[0]['step']
        self.losses = [r for r in self.losses if r['step'] < first] + losses
        scores = [record for record in records if SCORE in record]
        if scores:
            first = scores[0]['step']
            self.scores = [r for r in self.scores if r['step'] < first]
            self.scores += scores


def read_trainings(run: RunFolder) -> list[Training]:
    """Return a training for each stage folder with logged losses.

    Raises:
        RunError: A log is damaged.
    """
    titles: dict[str, str] = {}  # of the first stage with a folder
    for stage in run.stages:
        if stage.folder is not None:
            titles.setdefault(stage.folder, stage.title)
    trainings = []
    for folder, title in titles.items():
        log = _Log()
        # Sorted by the time of their start, which is their name.
        for path in sorted((run.folder / folder).glob(PATTERN)):
            log.append(_read_lines(path))
        if log.losses:
            trainings.append(_make_training(title, log))
    return trainings


def _read_lines(path: Path) -> list[dict]:
    lines = path.read_text(errors='replace').split('\n')
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f'{path}, line {number}'
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break  # no line end: the process died while it wrote
            raise RunError(f'{where} is not valid JSON: {error}') from error
        require(record, 'step', where)
        for key in record:
            if _is_loss(key) or key == SCORE:
                _check_number(record[key], f'{where}: {key!r}')
        records.append(record)
    return records


def _check_number(value: Any, where: str) -> None:
    if not isinstance(value, (int, float)):
        raise RunError(f'{where} is {value!r}; expected a number')


def _is_loss(key: str) -> bool:
    return key.rsplit('.', 1)[-1].startswith(TOTAL)


def _curve(records: Sequence[dict], key: str) -> Curve:
    points = [(r['step'], r[key]) for r in records if key in r]
    finite = [(step, v) for step, v in points if math.isfinite(v)]
    return Curve(
        tuple(step for step, _ in finite),
        tuple(float(value) for _, value in finite),
        len(points) - len(finite),
    )


def _make_training(title: str, log: _Log) -> Training:
    keys = {key for record in log.losses for key in record if _is_loss(key)}
    parts = sorted(keys - {TOTAL})
    if len(parts) == 1:
        parts = []  # it is the total
    losses = {key: _curve(log.losses, key) for key in (TOTAL, *parts)}
    # Trainings in epochs log losses by iteration, scores by epoch.
    last = max((r.get('epoch', 0) for r in log.losses), default=0)
    by_epoch = log.scores and log.scores[-1]['step'] <= last
    return Training(
        title,
        losses,
        _curve(log.scores, SCORE),
        'epoch' if by_epoch else 'iteration',
    )
