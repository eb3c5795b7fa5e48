"""The classes of a label file, where only its labels name them."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from mmseg_weakclip.common.names import SPELLINGS, name_key

from .records import LabelFile, LabelRow

# A rare name is taken for a misspelling of a similar one that is this many
# times as frequent.
SLIP_RATIO = 10
SLIP_AT_MOST = 2
SLIP_LIKENESS = 0.8
PLURALS = ('s', 'es')
SHOWN = 6
_GROUPS = {
    name_key(name): number
    for number, group in enumerate(SPELLINGS)
    for name in group
}


def named_classes(file: LabelFile) -> tuple[tuple[str, ...], list[str]]:
    """Return the classes that a label file names, and notes about them.

    Spellings of one name, such as "TV" and "tv", and names that are known to
    mean the same, such as "sofa" and "couch", are one class. It is called by
    its commonest spelling in lower case, or else by its commonest.

    Args:
        file: Rows of the file; its own list of classes is taken where it has
            one.

    Raises:
        ValueError: No class is named, or one seems misspelt.
    """
    if file.classes is not None:
        return file.classes, []
    spellings: dict[str | int, Counter[str]] = defaultdict(Counter)
    rows: dict[str, LabelRow] = {}
    for row in file.rows:
        for name in row.names:
            key = name_key(name)
            spellings[_GROUPS.get(key, key)][name] += 1
            rows.setdefault(name, row)
    if not spellings:
        raise ValueError(f'{file.source} names no class')
    names = {_best(counts): counts for counts in spellings.values()}
    _check_slips(file, names, rows)
    ordered = tuple(sorted(names, key=str.casefold))
    return ordered, list(_notes(ordered, names))


def _notes(
    ordered: Sequence[str], names: dict[str, Counter[str]]
) -> Iterator[str]:
    """Yield what was taken for one class."""
    cases = []
    for name in ordered:
        others = {n: c for n, c in names[name].items() if n != name}
        if not others:
            continue
        if all(name_key(other) == name_key(name) for other in others):
            cases.append(f'{name} ({", ".join(others)})')
        else:
            listed = ', '.join(f'{n} ({c}x)' for n, c in others.items())
            yield f'one class, called {name!r}, with: {listed}'
    if cases:
        more = f' and {len(cases) - SHOWN} more' if cases[SHOWN:] else ''
        yield (
            'one class each, spelled in several ways: '
            f'{", ".join(cases[:SHOWN])}{more}'
        )


def _best(counts: Counter[str]) -> str:
    """Return the spelling that names a class."""
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    lower = [name for name, _ in order if name == name.lower()]
    return lower[0] if lower else order[0][0]


def _check_slips(
    file: LabelFile, names: dict[str, Counter[str]], rows: dict[str, LabelRow]
) -> None:
    """Check that no name looks like a misspelling or the plural of another.

    Raises:
        ValueError: One does; both may be listed as classes.
    """
    totals = {name: counts.total() for name, counts in names.items()}
    keys = {name_key(name): name for name in totals}
    for name, total in totals.items():
        key = name_key(name)
        singles = [
            keys[key[: -len(end)]]
            for end in PLURALS
            if key.endswith(end) and key[: -len(end)] in keys
        ]
        frequent = [
            other_key
            for other_key, other in keys.items()
            if total <= SLIP_AT_MOST and totals[other] >= SLIP_RATIO * total
        ]
        near = difflib.get_close_matches(key, frequent, 1, SLIP_LIKENESS)
        for other in [*singles, *(keys[k] for k in near)]:
            spelling = names[name].most_common(1)[0][0]
            raise ValueError(
                f'{file.where(rows[spelling])}: {spelling!r} appears '
                f'{_times(total)}, {other!r} {_times(totals[other])}; '
                'correct it, or list both classes with '
                f'--classes {_listed(totals)}'
            )


def _times(number: int) -> str:
    return f'{number} time' + 's' * (number != 1)


def _listed(names: Sequence[str] | dict[str, int]) -> str:
    """Return some class names as ``--classes`` takes them."""
    shown = sorted(names)[:4]
    return f'"{",".join(shown)}{",..." if len(names) > len(shown) else ""}"'
