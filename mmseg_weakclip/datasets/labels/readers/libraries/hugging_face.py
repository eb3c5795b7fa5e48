"""HuggingFace's ImageFolder with ``metadata.csv`` or ``metadata.jsonl``.

Reference: https://huggingface.co/docs/datasets/image_dataset
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mmseg_weakclip.common.names import NameIndex
from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers import table
from mmseg_weakclip.datasets.labels.readers.class_files import (
    find_class_names,
)
from mmseg_weakclip.datasets.labels.readers.csv_files import csv_records
from mmseg_weakclip.datasets.labels.readers.values import counted
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow
from mmseg_weakclip.datasets.labels.tables.options import TableOptions

from .record_labels import (
    Record,
    RecordKeys,
    cell_value,
    find_keys,
    read_records,
)

IMAGE = 'file_name'
FILES = ('metadata.csv', 'metadata.jsonl')
PARQUET = 'metadata.parquet'
CURE = (
    'put the names into dataset_info of README.md or into classes.txt beside '
    'the file, or list the classes in the order of their ids with --classes'
)


def _matches(content: Content) -> bool:
    """Return whether a file is such metadata, or a folder holds some."""
    if content.path.is_dir():
        return bool(_metadata(content))
    return _is_metadata(content)


def _is_metadata(content: Content) -> bool:
    if content.path.name.lower() == FILES[0]:
        first = content.head.split('\n', 1)[0]
        return IMAGE in [cell.strip(' \r"') for cell in first.split(',')]
    return content.suffix == '.jsonl' and IMAGE in content.first_record


def _metadata(content: Content) -> list[str]:
    """Return paths of the metadata below a folder."""
    names = (*FILES, PARQUET)
    return [
        name
        for name in content.tree
        if PurePosixPath(name).name.lower() in names
        and (
            name.lower().endswith('.parquet')
            or _is_metadata(Content(content.path / name))
        )
    ]


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read names or ids of classes, or the categories of objects.

    Raises:
        ValueError: Ids have no names, there are no labels, or the metadata
            is broken.
    """
    if content.suffix == '.csv' and options.table != TableOptions():
        # The user says how the table is to be read.
        return table.FORMAT.read(content, options)
    if not content.path.is_dir():
        return _read_file(content, options)
    rows: list[LabelRow] = []
    notes: dict[str, None] = {}
    for name in _metadata(content):
        if name.lower().endswith('.parquet'):
            raise ValueError(
                f'{content.path / name} is Parquet, which is not read; write '
                'it as metadata.jsonl or metadata.csv'
            )
        file = _read_file(Content(content.path / name), options)
        notes.update(dict.fromkeys(file.notes))
        folder = PurePosixPath(name).parent
        rows += [
            LabelRow(
                f'{name}, {row.place}',
                (folder / row.image).as_posix(),
                row.names,
            )
            for row in file.rows
        ]
    return LabelFile(
        str(content.path), FORMAT.title, tuple(rows), notes=tuple(notes)
    )


def _read_file(content: Content, options: ReadOptions) -> LabelFile:
    path = content.path
    index = NameIndex(options.classes or ())
    records = (
        list(_csv_records(path, index))
        if content.suffix == '.csv'
        else content.json_lines
    )
    keys = find_keys(
        {key: None for _, record in records for key in record}, (IMAGE,)
    )
    if keys is None:
        raise ValueError(
            f'{path} has no labels: no column is called label, labels, '
            'category, tags or objects; --label-format image-folder takes the '
            'folders of the images for classes'
        )
    names, notes = _class_names(path, keys, options.classes)
    found = list(read_records(str(path), records, keys, names, CURE))
    rows = tuple(row for row in found if row is not None)
    if keys.others:
        notes.append(f'not read: {", ".join(keys.others)}')
    if len(rows) < len(found):
        words = counted(len(found) - len(rows), 'image')
        notes.append(f'{words} without a label')
    return LabelFile(str(path), FORMAT.title, rows, notes=tuple(notes))


def _csv_records(path: Path, index: NameIndex) -> Iterator[Record]:
    """Yield the lines of a CSV as records.

    Raises:
        ValueError: A line is broken, or the file is not in UTF-8.
    """
    for line, cells in csv_records(path):
        values: dict[str, Any] = {
            key: cell if key == IMAGE else cell_value(cell, index)
            for key, cell in cells.items()
            if key == IMAGE or find_keys((IMAGE, key)) is not None
        }
        yield line, values


def _class_names(
    path: Path, keys: RecordKeys, classes: Sequence[str] | None
) -> tuple[Sequence[str] | None, list[str]]:
    """Return the names of ids, and where they are from."""
    for folder in (path.parent, path.parent.parent):
        card = folder / 'README.md'
        if card.is_file():
            names = card_classes(card, keys.labels)
            if names is not None:
                return names, [f'class names of ids listed by {card}']
    listed = find_class_names(path.parent)
    if listed is not None:
        return listed[0], [f'class names of ids listed by {listed[1]}']
    return classes, []


def card_classes(card: Path, feature: str) -> tuple[str, ...] | None:
    """Return the class names of a feature in a data set card.

    Args:
        card: ``README.md`` with YAML between two lines of ``---``.
        feature: Name of the feature.

    Returns:
        The names in the order of their ids; None if the card has none.
    """
    try:
        parts = card.read_text(encoding='utf-8-sig').split('---\n', 2)
        data = yaml.load(parts[1], Loader=yaml.BaseLoader)
    except (OSError, ValueError, IndexError, yaml.YAMLError, RecursionError):
        return None
    infos = data.get('dataset_info') if isinstance(data, dict) else None
    for info in infos if isinstance(infos, list) else [infos]:
        features = info.get('features') if isinstance(info, dict) else None
        for item in features if isinstance(features, list) else []:
            if isinstance(item, dict) and item.get('name') == feature:
                names = _class_label(item)
                if names:
                    return names
    return None


def _class_label(item: Any, depth: int = 6) -> tuple[str, ...] | None:
    """Return the names of the first ``class_label`` in a feature."""
    if depth == 0:
        return None
    if isinstance(item, list):
        children = item
    elif isinstance(item, dict):
        label = item.get('class_label')
        names = label.get('names') if isinstance(label, dict) else None
        if isinstance(names, dict) and all(k.isdecimal() for k in names):
            names = [names[key] for key in sorted(names, key=int)]
        if isinstance(names, list) and all(isinstance(n, str) for n in names):
            return tuple(names)
        children = list(item.values())
    else:
        return None
    found = (_class_label(child, depth - 1) for child in children)
    return next((names for names in found if names), None)


FORMAT = LabelFormat('hugging-face', 'HuggingFace metadata', _matches, _read)
