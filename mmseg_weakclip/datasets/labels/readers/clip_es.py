"""Lists of CLIP-ES: an image and 0-based class ids in each line."""

import re

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    require_classes,
)
from mmseg_weakclip.datasets.labels.image_labels import LabelCollector
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

LINE = re.compile(r'^\S+( +\d+)*\s*$')


def _matches(content: Content) -> bool:
    """Return whether a text file holds images and ids."""
    if content.suffix != '.txt':
        return False
    lines = [line for line in content.head.splitlines() if line.strip()]
    return all(LINE.match(line) for line in lines[:-1] or lines)


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read a list such as ``COCO_train2014_000000000009 49 50 55``.

    Raises:
        ValueError: A line has another form, an id of no class, or there is
            no class list.
    """
    path = content.path
    collector = LabelCollector(path, require_classes(path, options.classes))
    rows = []
    lines = path.read_text(encoding='utf-8-sig').splitlines()
    for number, line in enumerate(lines, 1):
        image_id, *cells = line.split() or ['']
        if not image_id:
            continue
        if not all(cell.isdecimal() for cell in cells):
            raise ValueError(
                f'{path}, line {number}: expected an image and 0-based class '
                f'ids, found {line!r}.'
            )
        place = f'line {number}'
        names = [
            collector.classes[
                collector.check_index(int(cell), image_id, place)
            ]
            for cell in cells
        ]
        rows.append(LabelRow(place, image_id, tuple(names)))
    return LabelFile(str(path), FORMAT.title, tuple(rows), collector.classes)


FORMAT = LabelFormat('clip-es', 'list of CLIP-ES', _matches, _read)
