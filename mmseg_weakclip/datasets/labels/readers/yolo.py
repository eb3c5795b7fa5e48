"""YOLO's labels: a text file for each image, an object in each line.

``id x y w h`` or ``id x1 y1 x2 y2 ...``; the names are in another file.

Reference: https://docs.ultralytics.com/datasets/detect/
"""

from collections import Counter
from pathlib import Path, PurePosixPath

from mmseg_weakclip.datasets.labels.content import (
    HEAD_BYTES,
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
from .values import class_of_id, counted, shown

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


def _matches(content: Content) -> bool:
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
    firsts = [_first_cells(content.path / name) for name in labels[:LOOKED_AT]]
    if any(len(c) >= FEWEST and all(map(_is_number, c)) for c in firsts):
        return True
    names = {PurePosixPath(name).name for name in content.tree}
    # Beside names, empty or cut lines are YOLO's too, but no words.
    return bool(names & {*YAMLS, *LINES[:3]}) and all(
        not cells or _is_number(cells[0]) for cells in firsts
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


def _first_cells(path: Path) -> list[str]:
    try:
        with path.open(encoding='utf-8-sig', errors='replace') as file:
            return file.readline(HEAD_BYTES).split()
    except OSError:
        return []


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _image_path(label: str) -> str:
    """Return where the image of a file lies: images/train for labels/train."""
    parts = list(PurePosixPath(label).with_suffix('').parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'labels':
            parts[place] = 'images'
            break
    return '/'.join(parts)


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the objects.

    An empty file is an image without objects.

    Raises:
        ValueError: A line is broken, an id has no name, or the names are not
            known.
    """
    if content.path.name in YAMLS:
        names = read_class_names(content.path)
        source = content.path
        content = Content(source.parent)
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
    if not files:
        raise ValueError(
            f'{source}: no label files (*.txt) lie in {content.path}; give '
            'the folder that holds them'
        )
    if options.ids is not None:
        known = set(options.ids)
        files = [name for name in files if PurePosixPath(name).stem in known]
    paths = [content.path / name for name in files]
    for name, path in zip(files, options.track(paths)):
        found = _read_file(path, names, scores)
        rows.append(LabelRow(name, _image_path(name), found))
    if scores['scored']:
        notes.append(
            f'{counted(scores["scored"], "object")} with a confidence, made '
            'by a model, read like the others'
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
        raise ValueError(f'{path} is not in UTF-8; export again') from error
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


FORMAT = LabelFormat('yolo', 'YOLO labels', _matches, _read)
