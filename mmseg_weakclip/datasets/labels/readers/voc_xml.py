"""PASCAL VOC's boxes, ``Annotations/<id>.xml``."""

from pathlib import Path, PurePosixPath

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    listed_files,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .values import counted
from .xml_files import read_root, root_tag

ROOT = 'annotation'
LOOKED_AT = 20


def _matches(content: Content) -> bool:
    """Return whether a file is VOC's, or a folder holds such files."""
    if content.suffix == '.xml':
        return root_tag(content.path) == ROOT
    if '.xml' in content.suffixes:
        return True
    below = _xml_files(content)[:LOOKED_AT]
    return any(root_tag(content.path / name) == ROOT for name in below)


def _xml_files(content: Content) -> list[str]:
    if not content.path.is_dir():
        return []
    return [name for name in content.tree if name.lower().endswith('.xml')]


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the boxes.

    Raises:
        ValueError: A file is damaged, or an object has no name.
        FileNotFoundError: Files are missing.
    """
    folder = content.path
    if not folder.is_dir():
        files = [folder]
    elif '.xml' in content.suffixes and not _nested(content):
        files = listed_files(folder, '.xml', options.ids)
    else:
        files = [folder / name for name in _xml_files(content)]
        if options.ids is not None:
            known = set(options.ids)
            files = [file for file in files if file.stem in known]
    rows = []
    difficult = 0
    for file in options.track(files):
        names, left = _names(file, options)
        difficult += left
        place = file.relative_to(folder).as_posix() if file != folder else ''
        image = PurePosixPath(place or file.name).with_suffix('').as_posix()
        rows.append(LabelRow(place, image, names))
    notes = (
        (f'{counted(difficult, "difficult object")} left out',)
        if difficult
        else ()
    )
    return LabelFile(str(folder), FORMAT.title, tuple(rows), notes=notes)


def _nested(content: Content) -> bool:
    return any('/' in name for name in _xml_files(content))


def _names(file: Path, options: ReadOptions) -> tuple[tuple[str, ...], int]:
    root = read_root(file)
    if root.tag != ROOT:
        raise ValueError(
            f'{file} is not of VOC: its root is <{root.tag}>, not <{ROOT}>; '
            'remove it from the folder, or give this file alone if it holds '
            'the labels'
        )
    names: dict[str, None] = {}
    left = 0
    # Only the root's own objects: people have parts with names (head, hand,
    # foot) that are not classes.
    for number, item in enumerate(root.findall('object'), 1):
        difficult = (item.findtext('difficult') or '0').strip() == '1'
        if difficult and not options.difficult:
            left += 1
            continue
        name = (item.findtext('name') or '').strip()
        if not name:
            raise ValueError(f'{file}: object {number} has no name')
        names[name] = None
    return tuple(names), left


FORMAT = LabelFormat('voc-xml', 'VOC XML', _matches, _read)
