"""Caption entries, and helpers of all readers of captions."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class CaptionEntry(NamedTuple):
    """Caption of an image.

    Attributes:
        image: File of the image below the folder of the images; without a
            suffix if the format has none.
        caption: Text of the caption.
        place: Place in the file, e.g. 'line 3', for messages.
    """

    image: str
    caption: str
    place: str


def parse_json(text: str, source: str) -> Any:
    """Parse JSON in which no object has a key twice.

    Args:
        text: JSON text.
        source: Name of its source, for messages.

    Raises:
        ValueError: The JSON is broken, or an object has a key twice (Python's
            parser would drop the first).
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f'{source}: the key {key!r} occurs twice.')
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{source}, line {error.lineno}: broken JSON, {error.msg}.'
        ) from error


def read_text(path: str | Path) -> str:
    """Read a text file.

    Raises:
        ValueError: The file is not in UTF-8.
    """
    try:
        return Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not text in UTF-8: {error}.') from error


def field_of(record: Any, key: str, path: str | Path, place: str) -> Any:
    """Return a field of a record.

    Raises:
        ValueError: The field is missing; the message names the place.
    """
    if not isinstance(record, dict) or key not in record:
        raise ValueError(f'{path}, {place}: {key!r} is missing.')
    return record[key]


def text_of(value: Any, path: str | Path, place: str) -> str:
    """Return a value that must be a text.

    Raises:
        ValueError: It is something else; the message names the place.
    """
    if not isinstance(value, str):
        raise ValueError(
            f'{path}, {place}: {value!r} should be a text, but is a '
            f'{type(value).__name__}.'
        )
    return value
