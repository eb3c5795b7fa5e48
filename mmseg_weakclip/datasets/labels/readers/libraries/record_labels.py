"""Labels in records with a key for the image and one for the labels."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_weakclip.common.names import NameIndex
from mmseg_weakclip.datasets.labels.cells import parse_cell
from mmseg_weakclip.datasets.labels.readers.values import (
    as_name,
    class_of_id,
    shown,
)
from mmseg_weakclip.datasets.labels.records import LabelRow

# In this order; the first that is there holds the labels.
LABEL_KEYS = ('labels', 'label', 'classes', 'class', 'categories',
              'category', 'tags', 'tag', 'class_name', 'label_name',
              'objects')  # fmt: skip
IMAGE_KEYS = ('file_name', 'filename', 'image', 'img', 'image_path',
              'img_path', 'file', 'path', 'file_path', 'filepath',
              'image_id')  # fmt: skip
ID = re.compile(r'^\d+(\.0)?$')
Record = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class RecordKeys:
    """Keys of a list of records.

    Attributes:
        image: Key of the image.
        labels: Key of the labels.
        others: Further keys that may hold labels.
    """

    image: str
    labels: str
    others: tuple[str, ...] = ()


def find_keys(
    keys: Iterable[str], images: Sequence[str] = IMAGE_KEYS
) -> RecordKeys | None:
    """Return the keys of image and labels; None if one is not there.

    Args:
        keys: Keys of the records.
        images: Keys that an image may have.
    """
    known = list(keys)
    image = next((key for key in images if key in known), None)
    labels = [key for key in LABEL_KEYS if key in known]
    if image is None or not labels:
        return None
    return RecordKeys(image, labels[0], tuple(labels[1:]))


def read_records(
    source: str,
    records: Iterable[Record],
    keys: RecordKeys,
    names: Sequence[str] | None,
    cure: str,
    word: str = 'line',
) -> Iterator[LabelRow | None]:
    """Yield the row of each record; None for one without a label.

    Args:
        source: Path of the file, for messages.
        records: Number and values of each record.
        keys: Keys of image and labels.
        names: Class names by their ids; None if unknown.
        cure: What to do about ids without names.
        word: Word for a place in the file.

    Raises:
        ValueError: A record has no image, an id has no name, or a value is
            no label.
    """
    for number, record in records:
        place = f'{word} {number}'
        where = f'{source}, {place}'
        image = as_name(record.get(keys.image), f'{where}: {keys.image}')
        value = record.get(keys.labels)
        if value is None or value == '':
            yield None
            continue
        found = _names(value, names, f'{where}: {keys.labels}', cure)
        yield LabelRow(place, image, tuple(dict.fromkeys(found)))


def _names(
    value: Any, names: Sequence[str] | None, where: str, cure: str
) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _names(item, names, where, cure)
    elif isinstance(value, dict):
        key = next((key for key in LABEL_KEYS if key in value), None)
        if key is None:
            raise ValueError(
                f'{where} is {shown(value)}, an object without class names '
                f'({", ".join(LABEL_KEYS[:6])})'
            )
        yield from _names(value[key], names, where, cure)
    else:
        yield class_of_id(value, names, where, cure)


def cell_value(cell: str | None, index: NameIndex) -> Any:
    """Return what a cell of a table means as the value of a record.

    Args:
        cell: Text of the cell: JSON, the id of a class, or names.
        index: Known classes; may be empty.
    """
    text = (cell or '').strip()
    if not text:
        return None
    if ID.match(text) and index.find(text) is None:
        return int(float(text))
    if text[0] in '[{':
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    return parse_cell(text, index)
