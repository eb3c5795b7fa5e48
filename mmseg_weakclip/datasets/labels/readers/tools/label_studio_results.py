"""Names in the results of Label Studio's controls."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmseg_weakclip.datasets.labels.readers.named_groups import choose_groups
from mmseg_weakclip.datasets.labels.readers.values import (
    as_list,
    as_name,
    as_object,
    counted,
    shown,
)

# Kinds of answers that are never classes.
OTHERS = {'textarea', 'text', 'number', 'rating', 'datetime', 'pairwise',
          'ranker', 'relation'}  # fmt: skip
# Regions of an image that have their name in a result of their own.
PLAIN = {'rectangle', 'polygon', 'brush', 'ellipse', 'keypoint', 'vector',
         'bitmask'}  # fmt: skip
REGIONS = 'regions'


@dataclass
class Answers:
    """What the controls of a labelling interface were answered with.

    Attributes:
        groups: Numbers of names by control; all controls that name regions
            are one group, since they name classes.
        others: Numbers of results that are no names, by kind.
        unnamed: Number of regions without a name.
    """

    groups: dict[str, Counter[str]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0
    _plain: set[str] = field(default_factory=set)
    _named: set[str] = field(default_factory=set)

    def add(self, control: str, names: Sequence[str]) -> None:
        """Count the names that a control was answered with."""
        if names:
            self.groups.setdefault(control, Counter()).update(names)

    def add_region(self, region: str, *, named: bool) -> None:
        """Note that a region was drawn, or that it was given a name."""
        (self._named if named else self._plain).add(region)

    def end_of_annotation(self) -> None:
        """Count the regions that were not named until here."""
        self.unnamed += len(self._plain - self._named)
        self._plain.clear()
        self._named.clear()

    def choose(
        self, source: str, classes: Sequence[str] | None
    ) -> tuple[set[str], list[str]]:
        """Return the controls whose names are classes, and notes.

        Raises:
            ValueError: There are several, and no classes are known.
        """
        kept, notes = choose_groups(source, self.groups, classes)
        notes += [
            f'not read: {counted(number, "answer")} of kind {kind!r}'
            for kind, number in sorted(self.others.items())
        ]
        if self.unnamed:
            notes.append(f'{counted(self.unnamed, "region")} without a label')
        return kept, notes


def names_of_result(
    result: dict[str, Any], where: str, answers: Answers
) -> list[tuple[str, str]]:
    """Return the control and the names of a result of JSON.

    Args:
        result: Result of an annotation.
        where: File and task, for messages.
        answers: Counters to add to.

    Raises:
        ValueError: The value has another structure than its type.
    """
    kind = result.get('type')
    if not isinstance(kind, str):
        raise ValueError(
            f'{where}: a result has the type {shown(kind)}; export it anew, '
            'as JSON'
        )
    control = str(result.get('from_name', kind))
    region = str(result.get('id', ''))
    if kind in PLAIN:
        answers.add_region(region, named=False)
        return []
    if kind != 'choices' and kind != 'taxonomy' and not _is_labels(kind):
        answers.others[kind] += 1
        return []
    value = as_object(result.get('value'), f'{where}: value of {control}')
    group = REGIONS if _is_labels(kind) else control
    names = _names(value.get(kind), kind, f'{where}: {kind} of {control}')
    if not names and group == REGIONS:
        answers.add_region(region, named=False)
    elif group == REGIONS:
        answers.add_region(region, named=True)
    answers.add(group, names)
    return [(group, name) for name in names]


def names_of_value(
    value: Any, where: str, control: str, answers: Answers
) -> list[tuple[str, str]]:
    """Return the control and the names of an answer of JSON-MIN.

    That is a text for one choice, an object for several, a list of objects
    for regions, or a list of paths for a taxonomy.

    Args:
        value: Value of the answer.
        where: File, task and control, for messages.
        control: Name of the control.
        answers: Counters to add to.

    Raises:
        ValueError: The value has another structure.
    """
    if isinstance(value, str):
        pairs = [(control, value.strip())] if value.strip() else []
    else:
        items = [value] if isinstance(value, dict) else as_list(value, where)
        pairs = [
            pair
            for item in items
            for pair in _names_of_item(item, where, control, answers)
        ]
    pairs = list(dict.fromkeys(pairs))
    for group, name in pairs:
        answers.add(group, [name])
    return pairs


def _names_of_item(
    item: Any, where: str, control: str, answers: Answers
) -> list[tuple[str, str]]:
    if isinstance(item, str):
        return [(control, as_name(item, where))]
    if isinstance(item, list):
        item = dict(taxonomy=[item])
    item = as_object(item, where)
    kinds = [
        key
        for key in item
        if key in ('choices', 'taxonomy') or _is_labels(key)
    ]
    if not kinds:
        answers.others[control] += 1
    return [
        (REGIONS if _is_labels(kind) else control, name)
        for kind in kinds
        for name in _names(item[kind], kind, where)
    ]


def _is_labels(kind: str) -> bool:
    return kind.endswith('labels') and kind != 'timeserieslabels'


def _names(value: Any, kind: str, where: str) -> list[str]:
    items = as_list([value] if isinstance(value, str) else value, where)
    if kind == 'taxonomy':
        # Paths from the root; the last word is the one that was chosen.
        items = [
            item[-1] if isinstance(item, list) and item else item
            for item in items
        ]
    return list(dict.fromkeys(as_name(item, where) for item in items))
