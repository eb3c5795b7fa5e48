"""labelme's JSON, a file for each image.

Reference: https://github.com/wkentaro/labelme
"""

from pathlib import Path
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    load_json,
)
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.datasets.labels.readers.named_groups import choose_groups
from mmseg_weakclip.datasets.labels.readers.values import (
    as_name,
    as_object,
    counted,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

# Files of a folder that are looked at to tell its format.
LOOKED_AT = 5
SHAPES, FLAGS = 'labels of shapes', 'flags of images'


def is_labelme(data: Any) -> bool:
    """Return whether a JSON value is labelme's."""
    return (
        isinstance(data, dict)
        and {'shapes', 'imagePath'} <= set(data)
        and isinstance(data['shapes'], list)
    )


def _matches(content: Content) -> bool:
    """Return whether a file is labelme's, or one of the first of a folder."""
    if content.suffix == '.json':
        return is_labelme(content.json)
    if not content.path.is_dir():
        return False
    names = [name for name in content.tree if name.lower().endswith('.json')]
    for name in names[:LOOKED_AT]:
        try:
            if is_labelme(load_json(content.path / name)):
                return True
        except ValueError:
            # A broken file: the next one tells.
            continue
    return False


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the labels of the shapes, and the flags of images that are set.

    Raises:
        ValueError: A file is broken, a shape has no label, or shapes and
            flags both have names and the classes are not known.
    """
    if content.path.is_dir():
        names = [n for n in content.tree if n.lower().endswith('.json')]
        if options.ids is not None:
            known = set(options.ids)
            names = [name for name in names if Path(name).stem in known]
        files = [content.path / name for name in names]
    else:
        files = [content.path]
    found: list[tuple[str, str, dict[str, dict[str, None]]]] = []
    foreign: list[str] = []
    renamed = 0
    for file in options.track(files):
        data = content.json if file == content.path else load_json(file)
        if not is_labelme(data):
            foreign.append(file.name)
            continue
        place = (
            file.relative_to(content.path).as_posix()
            if file != content.path
            else ''
        )
        image, other = _image(file, data, place, options.finder)
        renamed += other
        found.append((place, image, _names(file, data)))
    groups: dict[str, set[str]] = {}
    for _, _, groups_of_file in found:
        for title, names_of_group in groups_of_file.items():
            groups.setdefault(title, set()).update(names_of_group)
    if groups.keys() == {SHAPES, FLAGS} and not (
        groups[FLAGS] - groups[SHAPES]
    ):
        kept, notes = set(groups), list[str]()
    else:
        kept, notes = choose_groups(str(content.path), groups, options.classes)
    if foreign:
        notes.append(
            f'{counted(len(foreign), "other JSON file")} not read: '
            f'{", ".join(foreign[:3])}'
        )
    if renamed:
        notes.append(
            f'{counted(renamed, "image")} found by the name of the JSON '
            'file, since imagePath names a file that is not there'
        )
    rows = [
        LabelRow(
            place,
            image,
            tuple(
                dict.fromkeys(
                    name
                    for title, names in names_by_group.items()
                    if title in kept
                    for name in names
                )
            ),
        )
        for place, image, names_by_group in found
    ]
    return LabelFile(
        str(content.path), FORMAT.title, tuple(rows), notes=tuple(notes)
    )


def _image(
    file: Path, data: dict[str, Any], place: str, finder: ImageFinder | None
) -> tuple[str, bool]:
    """Return the image of a file, and whether imagePath is out of date."""
    path = data['imagePath']
    own = Path(place or file.name).with_suffix('').as_posix()
    if not isinstance(path, str) or not path.strip():
        return own, False
    # imagePath is relative to the file.
    folder = Path(place).parent.as_posix() if place else '.'
    image = path.replace('\\', '/')
    if folder != '.' and '..' not in image and not image.startswith('/'):
        image = f'{folder}/{image}'
    if finder is None or finder.match(image) is not None:
        return image, False
    return (own, True) if finder.match(own) is not None else (image, False)


def _names(file: Path, data: dict[str, Any]) -> dict[str, dict[str, None]]:
    shapes: dict[str, None] = {}
    for number, shape in enumerate(data['shapes'], 1):
        where = f'{file}: shape {number}'
        label = as_object(shape, where).get('label')
        shapes[as_name(label, f'{where}: label')] = None
    # Old files have an empty list of flags.
    flags = as_object(data.get('flags') or None, f'{file}: flags')
    groups = {
        SHAPES: shapes,
        FLAGS: {name.strip(): None for name in flags if flags[name] is True},
    }
    return {title: names for title, names in groups.items() if names}


FORMAT = LabelFormat('labelme', 'labelme JSON', _matches, _read)
