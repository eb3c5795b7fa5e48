"""Open Images: CSV of labels, or of boxes, with the ids of a word list.

Reference: https://storage.googleapis.com/openimages/web/download_v7.html
"""

from collections.abc import Iterator
from pathlib import Path

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers import table
from mmseg_weakclip.datasets.labels.readers.csv_files import (
    csv_records,
    csv_rows,
)
from mmseg_weakclip.datasets.labels.readers.values import counted, shown
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow
from mmseg_weakclip.datasets.labels.tables.options import TableOptions

IMAGE, LABEL, CONFIDENCE = 'ImageID', 'LabelName', 'Confidence'
# Columns of boxes and of masks, whose labels are all present.
PLACES = {'XMin', 'MaskPath'}
DESCRIPTIONS = '*class-descriptions*.csv'


def _matches(content: Content) -> bool:
    """Return whether a CSV has the columns of Open Images."""
    if content.suffix != '.csv':
        return False
    header = set(_cells(content.head.split('\n', 1)[0]))
    return {IMAGE, LABEL} <= header and bool(header & {CONFIDENCE, *PLACES})


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(',')]


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the labels that people have verified as present.

    Confidence 1 is present, 0 is verified as absent; what lies between is a
    guess of a model and no label. Boxes and masks are present.

    Raises:
        ValueError: A row is broken, or an id of a label has no name in
            ``class-descriptions*.csv`` beside the file.
    """
    if options.table != TableOptions():
        # The user says how the table is to be read.
        return table.FORMAT.read(content, options)
    path = content.path
    names = _descriptions(path)
    found: dict[str, dict[str, None]] = {}
    absent = guessed = 0
    for line, row, sure in _rows(path):
        image, label, confidence = row
        where = f'{path}, line {line}'
        if not image or not label:
            raise ValueError(f'{where}: {IMAGE} or {LABEL} is empty')
        present = 1.0 if sure else _confidence(confidence, where)
        if 0 < present < 1:
            guessed += 1
            continue
        labels = found.setdefault(image, {})
        if not present:
            absent += 1
            continue
        labels[_name(label, names, where)] = None
    rows = [
        LabelRow(f'image {image}', image, tuple(labels))
        for image, labels in found.items()
    ]
    notes = []
    if absent:
        notes.append(f'{counted(absent, "label")} verified as absent')
    if guessed:
        notes.append(
            f'{counted(guessed, "label")} guessed by a model '
            '(0 < Confidence < 1) not read'
        )
    return LabelFile(str(path), FORMAT.title, tuple(rows), notes=tuple(notes))


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, str, str], bool]]:
    """Yield lines, with image, label and confidence, and if it is a place.

    Raises:
        ValueError: A row has another length, or is not in UTF-8.
    """
    for line, cells in csv_records(path):
        if not {IMAGE, LABEL} <= cells.keys():
            raise ValueError(
                f'{path} has no columns {IMAGE} and {LABEL}; it is not of '
                'Open Images'
            )
        score = cells.get(CONFIDENCE, '1')
        sure = bool(PLACES & cells.keys())
        yield line, (cells[IMAGE], cells[LABEL], score), sure


def _confidence(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(
            f'{where}: {CONFIDENCE} is {shown(text)}; expected 0 to 1'
        )
    return value


def _name(label: str, names: dict[str, str], where: str) -> str:
    if not label.startswith('/'):
        return label
    if label not in names:
        raise ValueError(
            f'{where}: the label {label} is an id without a name; put '
            'class-descriptions.csv of Open Images (ids and names) beside '
            'the file'
        )
    return names[label]


def _descriptions(path: Path) -> dict[str, str]:
    """Return the names of labels by their ids, of all lists beside a file.

    Raises:
        ValueError: A list is broken.
    """
    names: dict[str, str] = {}
    for file in sorted(path.parent.glob(DESCRIPTIONS)):
        if file == path:
            continue
        for number, row in csv_rows(file):
            if len(row) < 2 or not row[1]:
                raise ValueError(
                    f'{file}, line {number}: expected an id and a name, '
                    f'found {shown(",".join(row))}'
                )
            names.setdefault(row[0], row[1])
    return names


FORMAT = LabelFormat('open-images', 'Open Images CSV', _matches, _read)
