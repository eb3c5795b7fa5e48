"""Checked access to the values of a parsed JSON file."""

from collections.abc import Sequence
from typing import Any

SHOWN = 60


def shown(value: object) -> str:
    """Return a value for a message, cut to a few words."""
    text = repr(value)
    return text if len(text) <= SHOWN else f'{text[: SHOWN - 3]}...'


def as_list(value: Any, where: str) -> list[Any]:
    """Return a value that must be a list; None is an empty one.

    Args:
        value: Value of the file.
        where: File, place and key, for the message.

    Raises:
        ValueError: It is none.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f'{where} is {shown(value)}, not a list')
    return value


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Return a value that must be an object; None is an empty one.

    Args:
        value: Value of the file.
        where: File, place and key, for the message.

    Raises:
        ValueError: It is none.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f'{where} is {shown(value)}, not an object')
    return value


def as_name(value: Any, where: str) -> str:
    """Return a value that must be the name of a class or an image.

    Args:
        value: Value of the file.
        where: File, place and key, for the message.

    Raises:
        ValueError: It is no text, or blank.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'{where} is {shown(value)}, not a name')
    return value.strip()


def class_of_id(
    value: Any, names: Sequence[str] | None, where: str, cure: str
) -> str:
    """Return the class of an id that counts from 0.

    Args:
        value: Whole number of the file.
        names: All class names in the order of their ids; None if unknown.
        where: File and place, for the message.
        cure: What to do where the names are unknown.

    Raises:
        ValueError: The names are unknown, or the id is none of theirs.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f'{where}: {shown(value)} is not the id of a class')
    if names is None:
        raise ValueError(
            f'{where}: class {value} is an id, and no file names the classes; '
            f'{cure}'
        )
    if not 0 <= value < len(names):
        raise ValueError(
            f'{where}: there is no class {value}; the {len(names)} classes '
            f'have the ids 0 to {len(names) - 1}'
        )
    return names[value]


def counted(number: int, one: str, many: str = '') -> str:
    """Return a number with its noun: '1 box', '2 boxes'."""
    return f'{number} {one if number == 1 else many or one + "s"}'
