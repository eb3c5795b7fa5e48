"""Class names in the cell of a table, whatever way it lists them."""

import ast
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from mmseg_weakclip.common.names import NameIndex

from .matching import looks_like_file

# Between names, whichever of them the columns are not cut at. The last four
# are full-width signs and the enumeration comma of Chinese and Japanese.
SEPARATORS = ';,|\n\t\uff0c\uff1b\uff5c\u3001'
# Keys under which annotation tools keep class names.
NAME_KEYS = ('choices', 'taxonomy', 'label', 'labels', 'class', 'name', 'tag',
             'tags', 'text')  # fmt: skip
# Signs that belong to a syntax, not to a name.
# (a list, a score or a count beside it).
SYNTAX = re.compile(
    r'[\[\]{}<>"\\=]|^[\'`(:]|[\'`:]$|://|:\s*[\d.]+$|^\d+ ?x |\(\d+\)$'
)
# Between names that somebody may have joined; a blank if all words are names.
JOINTS = re.compile(r'\s*[/+&]\s*|\s+(?:and|und|et|y|e|og|och)\s+')
MAX_NAME = 80
INVISIBLE = dict.fromkeys(
    map(ord, '\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f')
)


def tidy(text: str) -> str:
    """Return a text in Unicode's composed form, without invisible signs.

    Blanks at its ends go, and blanks of other widths become plain ones.
    """
    text = unicodedata.normalize('NFC', text.translate(INVISIBLE))
    return re.sub(r'[\u00a0\u2000-\u200a\u202f\u3000]', ' ', text).strip()


def is_syntax(name: str) -> bool:
    """Return whether a name looks like a piece of some syntax, or a file."""
    long = len(name) > MAX_NAME
    return long or bool(SYNTAX.search(name)) or looks_like_file(name)


def parse_cell(
    cell: str, index: NameIndex, separator: str | None = None
) -> list[str]:
    """Return the class names in a cell.

    A cell is a JSON or Python list, the JSON of an annotation tool, or names
    between separators. A known class is one name, even if it holds a
    separator.

    Args:
        cell: Text of the cell.
        index: Known classes; may be empty.
        separator: Sign between names; None takes any of SEPARATORS, and '#'.

    Raises:
        ValueError: The cell holds a list of numbers, which may be ids or
            flags, or JSON without class names.
    """
    cell = tidy(cell)
    if not cell or index.find(cell) is not None:
        return [cell] if cell else []
    if cell[0] in '[{(' and cell[-1] in ']})':
        try:
            value = _load(cell)
        except ValueError:
            pass
        else:
            return list(dict.fromkeys(_names_in(value, cell)))
    if separator is not None:
        parts: Sequence[str] = cell.split(separator)
    else:
        parts = re.split(f'[{SEPARATORS}]', cell)
        # In "C# code" the sign is a part of the name.
        parts = [
            p for part in parts for p in re.split(r'(?<=\S)#(?=\S)', part)
        ]
        if len(parts) == 1 and ' ' in cell:
            words = cell.split()
            if all(index.find(word) is not None for word in words):
                parts = words
    names = (tidy(part).strip('\'"') for part in parts)
    return list(dict.fromkeys(name for name in names if name))


def _load(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        pass
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        # Without quotes, as some spreadsheets leave them: [cat, dog].
        inside = cell[1:-1]
        if cell[0] in '[(' and not re.search(r'[\[\]{}()"\']', inside):
            return [part.strip() for part in inside.split(',') if part.strip()]
        raise ValueError(cell) from error


def _names_in(value: Any, cell: str) -> Iterable[str]:
    """Yield the names in a parsed cell."""
    if isinstance(value, str):
        yield from filter(None, [tidy(value)])
    elif value is None:
        return
    elif isinstance(value, (list, tuple, set, frozenset)):
        if any(isinstance(item, (bool, int, float)) for item in value):
            raise ValueError(
                f'the cell {cell!r} lists numbers, which may be ids or flags '
                '(0 or 1) of classes; write class names'
            )
        for item in value:
            yield from _names_in(item, cell)
    elif isinstance(value, dict):
        yield from _names_in_object(value, cell)
    else:
        raise ValueError(
            f'the cell {cell!r} holds {value!r} where class names are expected'
        )


def _names_in_object(value: dict, cell: str) -> Iterable[str]:
    if not value:
        return
    keys = [
        key
        for key in value
        if isinstance(key, str)
        and (key.lower() in NAME_KEYS or key.lower().endswith('labels'))
    ]
    if keys:
        for key in keys:
            yield from _names_in(value[key], cell)
    elif all(
        isinstance(flag, (bool, int)) and flag in (0, 1)
        for flag in value.values()
    ):
        # {"cat": true, "dog": false}
        yield from (tidy(str(name)) for name, flag in value.items() if flag)
    else:
        raise ValueError(
            f'the cell {cell!r} is an object without class names '
            f'({", ".join(NAME_KEYS[:4])})'
        )


def find_joined(
    names: Iterable[str],
) -> tuple[str, list[str], str] | None:
    """Return a name that may be several classes.

    Args:
        names: All class names of a column.

    Returns:
        A name of several words that all stand alone elsewhere, or of parts
        between signs such as "/" one of which does; its parts; and the sign
        between them. None if there is no such name.
    """
    known = {name.casefold() for name in names}
    for name in sorted(known):
        words = name.split()
        if len(words) > 1 and all(word in known for word in words):
            return name, words, ' '
        parts = JOINTS.split(name)
        if len(parts) > 1 and any(part in known for part in parts):
            found = JOINTS.search(name)
            sign = found[0].strip() if found else ''
            return name, parts, sign
    return None
