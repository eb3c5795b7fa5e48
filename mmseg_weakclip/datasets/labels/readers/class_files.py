"""Lists of class names beside label files that hold ids alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from mmseg_weakclip.datasets.labels.content import load_json

# A name in each line: labelImg and Label Studio, darknet and CVAT, Roboflow.
LINES = ('classes.txt', 'obj.names', '_darknet.labels', 'labels.names',
         'predefined_classes.txt', 'names.txt')  # fmt: skip
YAMLS = ('data.yaml', 'data.yml', 'dataset.yaml', 'dataset.yml')
NOTES = 'notes.json'
# Folders that hold files of labels, not a whole data set.
PARTS = {'labels', 'label', 'train', 'val', 'valid', 'validation', 'test',
         'obj_train_data', 'obj_valid_data', 'annotations', 'txt',
         'yolo'}  # fmt: skip


def find_class_names(folder: Path) -> tuple[tuple[str, ...], Path] | None:
    """Return the class names of a folder, and the file that lists them.

    The folders above are searched too, as long as the folder's name is that
    of a part of a data set, such as ``labels/train``.

    Args:
        folder: Folder of label files.

    Raises:
        ValueError: A list is broken, or two lists differ.
    """
    for place in _places(folder.resolve()):
        found = [
            (path, names)
            for path in _candidates(place)
            if (names := read_class_names(path)) is not None
        ]
        if not found:
            continue
        first, names = found[0]
        for path, others in found[1:]:
            if others != names:
                raise ValueError(
                    f'{first} and {path} list different classes '
                    f'({", ".join(names[:5])} and {", ".join(others[:5])}); '
                    'remove the one that is out of date'
                )
        return names, first
    return None


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    for _ in range(2):
        if folder.name.lower() not in PARTS:
            return
        folder = folder.parent
        yield folder


def _candidates(folder: Path) -> Iterator[Path]:
    for name in (*YAMLS, *LINES, NOTES):
        path = folder / name
        if path.is_file():
            yield path


def read_class_names(path: Path) -> tuple[str, ...] | None:
    """Return the class names of a file; None if it is no list of them.

    Args:
        path: YAML of Ultralytics, Label Studio's ``notes.json``, or a file
            with a name in each line.

    Raises:
        ValueError: The file is broken.
    """
    if path.name == NOTES:
        data = load_json(path)
        if not isinstance(data, dict) or 'categories' not in data:
            return None
        return _names(_by_id(data['categories'], path), path)
    try:
        text = path.read_text(encoding='utf-8-sig')
        if path.suffix in ('.yaml', '.yml'):
            # All scalars are texts: "no" and "on" are classes as well.
            data = yaml.load(text, Loader=yaml.BaseLoader)
            if not isinstance(data, dict) or 'names' not in data:
                return None
            return _names(data['names'], path)
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not in UTF-8; save it so') from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(
            f'{path} is not valid YAML: {" ".join(str(error).split())}'
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return _names(lines, path)


def _by_id(categories: Any, path: Path) -> dict[str, Any]:
    try:
        return {str(item['id']): item['name'] for item in categories}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: categories have no id and name: {error!r}'
        ) from error


def _names(value: Any, path: Path) -> tuple[str, ...]:
    """Return names in the order of their ids.

    Raises:
        ValueError: Ids are missing, or something is no name.
    """
    if isinstance(value, dict):
        ids = sorted(value, key=lambda key: (len(key), key))
        if ids != [str(i) for i in range(len(ids))]:
            raise ValueError(
                f'{path}: the classes have the ids {", ".join(ids[:8])}; '
                'expected 0, 1, 2 and so on'
            )
        value = [value[key] for key in ids]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError(f'{path} lists no classes')
    for number, name in enumerate(value):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f'{path}: class {number} has no name; ids would be shifted'
            )
    return tuple(name.strip() for name in value)
