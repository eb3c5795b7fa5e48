"""YOLO's labels: a text file for each image, an object in each line.

``id x y w h`` or ``id x1 y1 x2 y2 ...``; the names are in another file.

Reference: https://docs.ultralytics.com/datasets/detect/
"""

from collections import Counter
from pathlib import Path, PurePosixPath

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .class_files import (
    LINES,
    YAMLS,
    find_class_names,
    read_class_names,
)
from .values import class_of_id, count, shown

# Files of lists and words that stand beside the labels.
OTHERS = {*LINES, 'train.txt', 'val.txt', 'valid.txt', 'test.txt',
          'readme.txt', 'readme.roboflow.txt', 'readme.dataset.txt',
          'requirements.txt', 'license.txt'}  # fmt: skip
# An id and at least a box.
FEWEST = 5
CURE = (
    'put classes.txt (a name in each line) or data.yaml beside the labels, '
    'or list the classes in the order of their ids with --classes'
)
LOOKED_AT = 50


def matches(content: Content) -> bool:
    """Return whether a folder, or that of a data.yaml, holds YOLO's labels.

    Without a list of classes, a line of numbers in one of the first text
    files tells.
    """
    if content.path.name in YAMLS:
        return True
    if not content.path.is_dir():
        return False
    labels = _label_files(content)
    if not labels:
        return False
    named = {PurePosixPath(p).name for p in content.tree} & {
        *YAMLS, *LINES[:3]
    }  # fmt: skip
    return bool(named) or any(
        _has_objects(content.path / name) for name in labels[:LOOKED_AT]
    )


def _label_files(content: Content) -> list[str]:
    """Return the text files below a folder that may hold objects."""
    texts = [
        name
        for name in content.tree
        if name.lower().endswith('.txt')
        and PurePosixPath(name).name.lower() not in OTHERS
    ]
    inside = [n for n in texts if 'labels' in PurePosixPath(n).parts[:-1]]
    return inside or texts


def _has_objects(path: Path) -> bool:
    try:
        with path.open(encoding='utf-8-sig') as file:
            cells = file.readline().split()
        return len(cells) >= FEWEST and all(float(c) >= -1e6 for c in cells)
    except (OSError, ValueError):
        return False


def read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the objects.

    An empty file is an image without objects.

    Raises:
        ValueError: A line is broken, an id has no name, or the names are not
            known.
    """
    if content.path.name in YAMLS:
        names = read_class_names(content.path)
        content = Content(content.path.parent)
        source = content.path
    else:
        listed = find_class_names(content.path)
        names, source = listed if listed else (None, content.path)
    notes = []
    if names is not None:
        notes.append(f'classes listed by {source}')
    elif options.classes is not None:
        names = tuple(options.classes)
        notes.append('ids are taken for the order of the class list')
    scores: Counter[str] = Counter()
    rows = []
    files = _label_files(content)
    if options.ids is not None:
        known = set(options.ids)
        files = [name for name in files if PurePosixPath(name).stem in known]
    paths = [content.path / name for name in files]
    for name, path in zip(files, options.track(paths)):
        image = PurePosixPath(name).with_suffix('').as_posix()
        # Images lie as their labels do: labels/train and images/train.
        image = image.replace('labels/', 'images/', 1)
        found = _read_file(path, names, scores)
        rows.append(LabelRow(name, image, found))
    if scores['scored']:
        notes.append(
            f'{count(scores["scored"], "object")} with a confidence, made by '
            'a model, read like the others'
        )
    return LabelFile(
        str(content.path), FORMAT.title, tuple(rows), names, tuple(notes)
    )


def _read_file(
    path: Path, names: tuple[str, ...] | None, scores: Counter[str]
) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not in UTF-8; export it again') from (
            error
        )
    found: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f'{path}, line {number}'
        try:
            class_id, *places = (float(cell) for cell in line.split())
        except ValueError as error:
            raise ValueError(
                f'{where}: expected the id of a class and numbers, found '
                f'{shown(line)}'
            ) from error
        if len(places) < FEWEST - 1 or not class_id.is_integer():
            raise ValueError(
                f'{where}: expected a whole id and at least four numbers, '
                f'found {shown(line)}'
            )
        scores['scored'] += len(places) % 2
        found[class_of_id(int(class_id), names, where, CURE)] = None
    return tuple(found)


FORMAT = LabelFormat('yolo', 'YOLO labels', matches, read)
