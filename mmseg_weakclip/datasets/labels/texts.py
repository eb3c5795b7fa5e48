"""Readers of image labels from JSON, text files and CLIP-ES lists.

The helpers of all label readers come first: ``require_classes``,
``load_json`` and ``listed_files``.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .image_labels import ImageLabels, LabelCollector

# Wraps the files that a reader goes through, e.g. to show progress.
Track = Callable[[Sequence[Path]], Iterable[Path]]


def require_classes(
    path: str | Path, classes: Sequence[str] | None
) -> Sequence[str]:
    """Return the class list of a format that has none of its own.

    Args:
        path: Path of the labels, for the message.
        classes: Class names.

    Raises:
        ValueError: No classes are given.
    """
    if classes is None:
        raise ValueError(
            f'{path} does not say which classes there are: give the class '
            'list (--classes of the tool).'
        )
    return classes


def load_json(path: str | Path) -> dict[str, Any]:
    """Load a JSON object.

    Raises:
        ValueError: The file is not valid JSON, or not an object.
    """
    try:
        data = json.loads(Path(path).read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}.') from error
    if not isinstance(data, dict):
        raise ValueError(
            f'{path} holds a {type(data).__name__}, not an object whose keys '
            'are image ids.'
        )
    return data


def listed_files(
    folder: str | Path, suffix: str, ids: Sequence[str] | None
) -> list[Path]:
    """List the files ``<id><suffix>`` of a folder.

    Args:
        folder: Path of the folder.
        suffix: Suffix of the files, with its dot.
        ids: Ids of the files; None lists all.

    Raises:
        FileNotFoundError: There is no such file, or some are missing.
    """
    folder = Path(folder)
    if ids is None:
        files = sorted(folder.glob(f'*{suffix}'))
        if not files:
            raise FileNotFoundError(f'{folder} holds no *{suffix} file.')
        return files
    files = [folder / f'{image_id}{suffix}' for image_id in ids]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(files)} listed files are missing, the '
            f'first is {missing[0]}.'
        )
    return files


def parse_json_labels(
    data: dict[str, Any],
    path: str | Path,
    classes: Sequence[str] | None = None,
) -> ImageLabels:
    """Read labels of ``{"classes": [...], "labels": {id: [name, ...]}}``.

    The inner object alone is read too. Its items are class names, or 0-based
    ids of foreground classes.

    Args:
        data: Parsed content of the file.
        path: Path of the file, for messages.
        classes: Class names to express the labels in; None takes the file's
            own.

    Raises:
        ValueError: There is no class list, a class is unknown, or the file
            has another structure.
    """
    own = None
    if set(data) == {'classes', 'labels'}:
        own, data = data['classes'], data['labels']
        if not isinstance(own, list) or not isinstance(data, dict):
            raise ValueError(
                f"{path}: 'classes' must be a list and 'labels' an object."
            )
    if own is None:
        own = require_classes(path, classes)
    collector = LabelCollector(path, own)
    for image_id, items in data.items():
        if not isinstance(items, list):
            raise ValueError(
                f'{path}: the labels of image {image_id!r} are '
                f'{items!r}, not a list.'
            )
        kinds = {type(item) for item in items}
        if kinds <= {str}:
            indices = [collector.find(name, image_id) for name in items]
        elif kinds == {int} and len(set(items)) == len(items):
            indices = [collector.check_index(i, image_id) for i in items]
        else:
            raise ValueError(
                f'{path}: the labels of image {image_id!r} are {items!r}; '
                'they must be class names, or different 0-based class ids '
                '(not a multi-hot list).'
            )
        collector.add(image_id, indices)
    labels = collector.result()
    return labels if classes is None else labels.for_classes(classes)


def read_txt_folder(
    folder: str | Path,
    classes: Sequence[str] | None = None,
    *,
    ids: Sequence[str] | None = None,
    track: Track = iter,
) -> ImageLabels:
    """Read labels from ``<id>.txt`` files, names by line or by comma.

    Args:
        folder: Folder of the text files.
        classes: Class names; required.
        ids: Ids of the images to read; None reads all files.
        track: Wraps the list of files, e.g. to show progress.

    Raises:
        ValueError: A class is unknown.
        FileNotFoundError: Files are missing.
    """
    collector = LabelCollector(folder, require_classes(folder, classes))
    for file in track(listed_files(folder, '.txt', ids)):
        names = re.split(r'[,\n]', file.read_text(encoding='utf-8-sig'))
        collector.add(
            file.stem,
            [
                collector.find(name.strip(), file.stem, file.name)
                for name in names
                if name.strip()
            ],
        )
    return collector.result()


def read_clip_es(
    path: str | Path, classes: Sequence[str] | None = None
) -> ImageLabels:
    """Read labels from a list of CLIP-ES.

    A line has an image and 0-based class ids:
    ``COCO_train2014_000000000009 49 50 55``.

    Args:
        path: Path of the list.
        classes: Class names, in the order of the ids; required.

    Raises:
        ValueError: A line has another form, or an id of no class.
    """
    collector = LabelCollector(path, require_classes(path, classes))
    lines = Path(path).read_text(encoding='utf-8-sig').splitlines()
    for number, line in enumerate(lines, 1):
        image_id, *cells = line.split() or ['']
        if not image_id:
            continue
        if not all(cell.isdecimal() for cell in cells):
            raise ValueError(
                f'{path}, line {number}: expected an image and 0-based class '
                f'ids, found {line!r}.'
            )
        collector.add(
            image_id,
            [
                collector.check_index(int(cell), image_id, f'line {number}')
                for cell in cells
            ],
        )
    return collector.result()
