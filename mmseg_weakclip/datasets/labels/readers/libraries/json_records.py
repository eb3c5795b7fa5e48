"""Lists of JSON records, ``{"image": "a.jpg", "labels": ["cat"]}``.

A JSON list, as ``DataFrame.to_json(orient='records')`` writes it, or a record
in each line.
"""

from collections.abc import Sequence

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers.values import as_object, counted
from mmseg_weakclip.datasets.labels.records import LabelFile

from .record_labels import Record, find_keys, read_records

SUFFIXES = ('.jsonl', '.ndjson')
CURE = 'write names, or list the classes in the order of ids with --classes'


def _matches(content: Content) -> bool:
    """Return whether a file holds records with keys of images and labels."""
    if content.suffix in SUFFIXES:
        return find_keys(content.first_record) is not None
    if content.suffix != '.json' or not isinstance(content.json, list):
        return False
    first = content.json[0] if content.json else None
    return isinstance(first, dict) and find_keys(first) is not None


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read names, lists of names, or ids of a class list that is known.

    Raises:
        ValueError: A record has no image, or an id has no name.
    """
    path = str(content.path)
    lines = content.suffix in SUFFIXES
    records: Sequence[Record] = (
        content.json_lines
        if lines
        else [
            (number, as_object(item, f'{path}, record {number}'))
            for number, item in enumerate(content.json, 1)
        ]
    )
    keys = find_keys({key: None for _, record in records for key in record})
    if keys is None:
        raise ValueError(f'{path} has no records of images and labels')
    found = list(
        read_records(
            path,
            records,
            keys,
            options.classes,
            CURE,
            'line' if lines else 'record',
        )
    )
    rows = tuple(row for row in found if row is not None)
    notes = [f'images in {keys.image!r}, labels in {keys.labels!r}']
    if keys.others:
        notes.append(f'not read: {", ".join(keys.others)}')
    if len(rows) < len(found):
        words = counted(len(found) - len(rows), 'image')
        notes.append(f'{words} without a label')
    return LabelFile(path, FORMAT.title, rows, notes=tuple(notes))


FORMAT = LabelFormat('json-records', 'JSON records', _matches, _read)
