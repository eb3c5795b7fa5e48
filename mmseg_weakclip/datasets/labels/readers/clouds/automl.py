"""Google's import files of AutoML and Vertex AI as CSV, without a header.

``[ML_USE,]gs://bucket/a.jpg[,LABEL]*``, or for boxes
``[ML_USE,]gs://bucket/a.jpg,LABEL,`` and eight cells of corners.

Reference: https://cloud.google.com/vision/automl/docs/csv-format
"""

import re

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers.csv_files import csv_rows
from mmseg_weakclip.datasets.labels.readers.values import counted, shown
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

USES = {'', 'train', 'training', 'validation', 'validate', 'valid', 'test',
        'unassigned'}  # fmt: skip
STORAGE = 'gs://'
CORNERS = 8
NUMBER = re.compile(r'^-?\d*\.?\d+(e-?\d+)?$', re.IGNORECASE)


def _matches(content: Content) -> bool:
    """Return whether a CSV starts with an image in Google's storage."""
    if content.suffix != '.csv':
        return False
    lines = [line for line in content.head.splitlines() if line.strip()]
    first = [cell.strip(' "') for cell in (lines or [''])[0].split(',')]
    return first[0].startswith(STORAGE) or (
        len(first) > 1
        and first[0].lower() in USES
        and first[1].startswith(STORAGE)
    )


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the labels of rows of any length.

    A box without a label is an image without objects; a row of an image
    alone has no labels.

    Raises:
        ValueError: A line names no image in Google's storage, or the file is
            not in UTF-8.
    """
    path = content.path
    rows = []
    unlabelled = 0
    for line, cells in csv_rows(path):
        place = f'line {line}'
        names = _names(cells, f'{path}, {place}')
        image = next(c for c in cells[:2] if c.startswith(STORAGE))
        if names is None:
            unlabelled += 1
        else:
            rows.append(LabelRow(place, image, names))
    notes = (
        (f'{counted(unlabelled, "image")} without a label',)
        if unlabelled
        else ()
    )
    return LabelFile(str(path), FORMAT.title, tuple(rows), notes=notes)


def _names(cells: list[str], where: str) -> tuple[str, ...] | None:
    """Return the labels of a row; None for an image alone."""
    start = 0 if cells[0].startswith(STORAGE) else 1
    if (
        len(cells) <= start
        or not cells[start].startswith(STORAGE)
        or (start and cells[0].lower() not in USES)
    ):
        raise ValueError(
            f'{where}: expected an image such as gs://bucket/a.jpg, with '
            f'TRAIN, VALIDATION or TEST in front of it, found '
            f'{shown(",".join(cells))}'
        )
    label, corners = cells[start + 1 : start + 2], cells[start + 2 :]
    if len(corners) == CORNERS and all(
        not cell or NUMBER.match(cell) for cell in corners
    ):
        return tuple(filter(None, label))
    names = tuple(dict.fromkeys(filter(None, [*label, *corners])))
    return names or None


FORMAT = LabelFormat('automl-csv', 'AutoML CSV', _matches, _read)
