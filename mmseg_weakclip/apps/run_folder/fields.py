"""Reading of a run's JSON files, with errors that name file and field."""

import json
from pathlib import Path
from typing import Any

KINDS = {
    'text': (str,),
    'number': (int, float),
    'whole number': (int,),
    'list': (list,),
    'object': (dict,),
    'null': (type(None),),
}


class RunError(ValueError):
    """A piece of a run's folder is missing or damaged."""


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        RunError: It is not there, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f'{path} cannot be read: {error.strerror}') from error
    except ValueError as error:
        raise RunError(f'{path} is no JSON: {error}') from error


def check_kind(value: Any, where: str, *kinds: str) -> Any:
    """Return a value that is of one of some kinds.

    Args:
        value: What was read.
        where: Its file and place, for messages.
        kinds: Of :data:`KINDS`.

    Raises:
        RunError: It is not.
    """
    allowed = tuple(part for kind in kinds for part in KINDS[kind])
    # To Python true and false are whole numbers.
    if isinstance(value, bool) or not isinstance(value, allowed):
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f'{shown[:57]}...'
        raise RunError(f'{where} is {shown}; expected {" or ".join(kinds)}')
    return value


def take(record: Any, name: str, where: str, *kinds: str) -> Any:
    """A field of an object, checked as in :func:`check_kind`.

    Raises:
        RunError: There is no such field, or it holds something else.
    """
    check_kind(record, where, 'object')
    if name not in record:
        raise RunError(f'{where} lacks {name!r}')
    return check_kind(record[name], f'{where}: {name!r}', *kinds)


def take_texts(record: Any, name: str, where: str) -> tuple[str, ...]:
    """A field that is a list of texts; see :func:`take`."""
    values = take(record, name, where, 'list')
    return tuple(
        check_kind(value, f'{where}: {name!r}[{place}]', 'text')
        for place, value in enumerate(values)
    )
