"""An unpacked export: label files under the names that tools give them."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.matching import looks_like_file
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from . import coco, table
from .image_folder import SPLITS
from .libraries import fiftyone
from .tools import cvat

# Name of the file -> its format. Roboflow's are in train, valid and test.
NAMES: Mapping[str, LabelFormat] = {
    'annotations.xml': cvat.FORMAT,
    '_annotations.coco.json': coco.FORMAT,
    '_classes.csv': table.FORMAT,
    'samples.json': fiftyone.FORMAT,
    'labels.json': fiftyone.FORMAT,
    'result.json': coco.FORMAT,
}
INSTANCES = 'instances'
DEEPEST = 2


def _matches(content: Content) -> bool:
    """Return whether a folder holds such files."""
    return content.path.is_dir() and bool(_exports(content))


def _exports(content: Content) -> dict[str, LabelFormat]:
    """Return the format of each such file below a folder, by its path."""
    found = {}
    # Empty for a file.
    for name in content.tree:
        path = PurePosixPath(name)
        if len(path.parts) > DEEPEST:
            continue
        format = NAMES.get(path.name)
        if path.name.startswith(INSTANCES) and path.suffix == '.json':
            format = coco.FORMAT
        if format is None:
            continue
        try:
            if format.matches(Content(content.path / name)):
                found[name] = format
        except ValueError:
            # Broken; its reader says how.
            found[name] = format
    return found


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read all label files of the folder; their labels add up.

    Raises:
        ValueError: A file is broken, or the files are of several formats.
    """
    exports = _exports(content)
    if not exports:
        raise ValueError(
            f'{content.path} holds none of {", ".join(NAMES)} or '
            f'{INSTANCES}*.json'
        )
    formats = {format.name: format for format in exports.values()}
    if len(formats) > 1:
        listed = ', '.join(exports)
        raise ValueError(
            f'{content.path} holds label files of several formats ({listed}); '
            'give one of them'
        )
    if len(exports) == 1:
        (name,) = exports
        file = exports[name].read(Content(content.path / name), options)
        return _below(file, name)
    rows: list[LabelRow] = []
    classes: dict[str, None] = {}
    notes: dict[str, None] = {}
    for name, format in exports.items():
        file = _below(format.read(Content(content.path / name), options), name)
        rows += [
            LabelRow(f'{name}, {row.place}'.rstrip(', '), row.image, row.names)
            for row in file.rows
        ]
        classes.update(dict.fromkeys(file.classes or ()))
        notes.update(dict.fromkeys(file.notes))
    notes[f'{len(exports)} files: {", ".join(exports)}'] = None
    (format,) = formats.values()
    return LabelFile(
        str(content.path),
        format.title,
        tuple(rows),
        tuple(classes) or None,
        tuple(notes),
    )


def _below(file: LabelFile, name: str) -> LabelFile:
    """Return a file whose images lie in the folder of the file.

    Only for parts of a data set, which may repeat the name of an image.
    """
    folder = PurePosixPath(name).parent
    if folder.name.lower() not in SPLITS:
        return file
    rows = tuple(
        LabelRow(row.place, (folder / row.image).as_posix(), row.names)
        if looks_like_file(row.image) and '/' not in row.image
        else row
        for row in file.rows
    )
    return LabelFile(file.source, file.kind, rows, file.classes, file.notes)


FORMAT = LabelFormat('export-folder', 'unpacked export', _matches, _read)
