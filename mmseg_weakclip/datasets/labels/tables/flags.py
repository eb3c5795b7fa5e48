"""Columns of a table by the values that they hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Pairs of words for "present" and "absent", in lower case. A blank cell means
# absent only beside a mark, or where no cell says 0.
PAIRS: tuple[tuple[set[str], set[str]], ...] = (
    ({'1', '1.0', 'true'}, {'0', '0.0', 'false'}),
    ({'1', '1.0'}, {'-1', '-1.0'}),
    ({'yes'}, {'no'}),
    ({'ja'}, {'nein'}),
    ({'oui'}, {'non'}),
    ({'s\u00ed', 'si'}, {'no'}),
    ({'sim'}, {'n\u00e3o'}),
    ({'\u0434\u0430'}, {'\u043d\u0435\u0442'}),
    ({'\u662f'}, {'\u5426'}),
    ({'y'}, {'n'}),
    ({'t'}, {'f'}),
    ({'x', '\u2713', '\u2714', '\u2611', '\u2612', '\u2717', '*'}, set()),
)
NUMBER = re.compile(r'^[+-]?\d*[.,]?\d+(?:e[+-]?\d+)?$', re.IGNORECASE)
# Largest number that may be a count of objects rather than a measure.
MAX_COUNT = 100


@dataclass(frozen=True)
class Values:
    """What the cells of a column are.

    Attributes:
        kind: 'empty', 'flags', 'counts' (numbers from 0 that may be counts or
            probabilities of a class), 'numbers' or 'text'.
        present: Words for "present", for flags.
        says_absent: Whether a flag says "absent", rather than nothing.
        has_blanks: Whether a cell is empty.
        examples: First different values.
    """

    kind: str
    present: frozenset[str] = frozenset()
    says_absent: bool = False
    has_blanks: bool = False
    examples: tuple[str, ...] = ()


def describe_values(cells: Sequence[str]) -> Values:
    """Return what the cells of a column are; see :class:`Values`.

    Args:
        cells: Cells of a column, without the header.
    """
    words = dict.fromkeys(cell.lower() for cell in cells)
    blank = '' in words
    words.pop('', None)
    examples = tuple(list(dict.fromkeys(c for c in cells if c))[:3])
    if not words:
        return Values('empty', has_blanks=True)
    for present, absent in PAIRS:
        # A column of zeros alone is a class that no image shows.
        if words.keys() <= present | absent:
            says_absent = bool(words.keys() & absent)
            if blank and says_absent:
                break
            if not absent and not blank and len(words) > 1:
                break
            return Values(
                'flags', frozenset(present), says_absent, blank, examples
            )
    if all(NUMBER.match(word) for word in words):
        numbers = [float(word.replace(',', '.')) for word in words]
        low, high = min(numbers), max(numbers)
        whole = all(number.is_integer() for number in numbers)
        counts = whole and low in (0, -1) and high <= MAX_COUNT
        chances = low >= 0 and high <= 1
        kind = 'counts' if counts or chances else 'numbers'
        return Values(kind, examples=examples)
    return Values('text', examples=examples)
