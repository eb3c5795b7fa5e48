"""What the readers of captions share."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class CaptionEntry(NamedTuple):
    """A caption of an image.

    Attributes:
        image: File of the image, below the folder of the images; without a
            suffix where the format has none.
        caption: The text.
        place: Where in the file it stands, e.g. 'line 3', for messages.
    """

    image: str
    caption: str
    place: str


def parse_json(text: str, source: str) -> Any:
    """JSON in which no key stands twice.

    Args:
        text: The JSON.
        source: Where it is from, for the messages.

    Raises:
        ValueError: It is broken, or an object has a key twice (of which
            Python's parser would drop the first).
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f'{source}: the key {key!r} stands there twice.')
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{source}, line {error.lineno}: broken JSON, {error.msg}.'
        ) from error


def read_text(path: str | Path) -> str:
    """The text of a file; an error names one that is not in UTF-8."""
    try:
        return Path(path).read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not text in UTF-8: {error}.') from error


def field_of(record: Any, key: str, path: str | Path, place: str) -> Any:
    """A field of a record; an error names the file and place."""
    if not isinstance(record, dict) or key not in record:
        raise ValueError(f'{path}, {place}: there is no {key!r}.')
    return record[key]


def text_of(value: Any, path: str | Path, place: str) -> str:
    """A value that must be a text; an error names the file and place."""
    if not isinstance(value, str):
        raise ValueError(
            f'{path}, {place}: {value!r} should be a text, but is a '
            f'{type(value).__name__}.'
        )
    return value
