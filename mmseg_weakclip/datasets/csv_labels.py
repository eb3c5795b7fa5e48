"""Reader of image labels from CSV files."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from .class_names import NameIndex, split_background
from .image_labels import ImageLabels, LabelCollector, canonical_image_id
from .label_sources import require_classes

ID_COLUMNS = {'image', 'images', 'id', 'imageid', 'img', 'imgid', 'imgname',
              'file', 'filename', 'filepath', 'name', 'path',
              'imagename'}  # fmt: skip
LABEL_COLUMNS = {'label', 'labels', 'class', 'classes', 'classname',
                 'classnames', 'category', 'categories', 'tag',
                 'tags'}  # fmt: skip
FLAGS = {'0': False, '1': True, '0.0': False, '1.0': True, 'false': False,
         'true': True}  # fmt: skip


def read_csv(
    path: str | Path, classes: Sequence[str] | None = None
) -> ImageLabels:
    """Labels from a CSV file, in one of three forms.

    * ``image,labels`` with the names separated by semicolons;
    * one row per pair, ``image,label``;
    * one column per class, ``image,cat,dog,...``, with 0 or 1 below.

    A header is needed for the last form only; for the others it is found by
    its words.

    Args:
        path: The file.
        classes: Class names. None: the columns of the last form.

    Raises:
        ValueError: A row that fits no form (its line is named), or unknown
            classes.
    """
    with Path(path).open(encoding='utf-8-sig', newline='') as file:
        reader = csv.reader(file, skipinitialspace=True)
        rows = [
            (reader.line_num, [cell.strip() for cell in row])
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    if not rows:
        raise ValueError(f'{path} is empty.')
    if len(rows) > 1 and _are_flags(rows[1][1]) and not _are_flags(rows[0][1]):
        return _read_flag_columns(path, rows, classes)
    return _read_name_cells(path, rows, classes)


def _are_flags(row: Sequence[str]) -> bool:
    return len(row) > 1 and all(cell.lower() in FLAGS for cell in row[1:])


def _read_flag_columns(
    path: str | Path,
    rows: list[tuple[int, list[str]]],
    classes: Sequence[str] | None,
) -> ImageLabels:
    (_, header), *body = rows
    collector = LabelCollector(
        path, header[1:] if classes is None else classes
    )
    for line, row in body:
        if len(row) != len(header) or not _are_flags(row):
            raise ValueError(
                f'{path}, line {line}: expected an image and '
                f'{len(header) - 1} cells of 0 or 1, found {row}.'
            )
        present = [
            name
            for name, cell in zip(header[1:], row[1:])
            if FLAGS[cell.lower()]
        ]
        collector.add(
            row[0],
            [collector.find(n, row[0], f'line {line}') for n in present],
        )
    return collector.result()


def _read_name_cells(
    path: str | Path,
    rows: list[tuple[int, list[str]]],
    classes: Sequence[str] | None,
) -> ImageLabels:
    classes = require_classes(path, classes)
    collector = LabelCollector(path, classes)
    if _is_header(rows[0][1], NameIndex(split_background(classes)[0])):
        rows = rows[1:]
    found: dict[str, list[int]] = {}
    for line, row in rows:
        if len(row) != 2 or not row[0]:
            raise ValueError(
                f'{path}, line {line}: expected "image,labels" (names '
                f'separated by semicolons, or none), found {row}.'
            )
        names = [name.strip() for name in row[1].split(';')]
        found.setdefault(canonical_image_id(row[0]), []).extend(
            collector.find(name, row[0], f'line {line}')
            for name in names
            if name
        )
    for image_id, indices in found.items():
        collector.add(image_id, indices)
    return collector.result()


def _is_header(row: Sequence[str], index: NameIndex) -> bool:
    words = [re.sub(r'[\W_]+', '', cell).lower() for cell in row]
    return (
        len(words) == 2
        and words[0] in ID_COLUMNS
        and words[1] in LABEL_COLUMNS
        and index.find(row[1]) is None
    )
