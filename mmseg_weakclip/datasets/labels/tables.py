"""Reader of image labels from CSV files.

``read_label_table`` reads the lines as they are, ``read_csv`` makes image
labels of them.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_weakclip.common.names import NameIndex, split_background

from .image_labels import ImageLabels, LabelCollector, canonical_image_id
from .texts import require_classes

ID_COLUMNS = {'image', 'images', 'id', 'imageid', 'img', 'imgid', 'imgname',
              'file', 'filename', 'filepath', 'name', 'path',
              'imagename'}  # fmt: skip
LABEL_COLUMNS = {'label', 'labels', 'class', 'classes', 'classname',
                 'classnames', 'category', 'categories', 'tag',
                 'tags'}  # fmt: skip
FLAGS = {'0': False, '1': True, '0.0': False, '1.0': True, 'false': False,
         'true': True}  # fmt: skip
DELIMITERS = ',;\t'
# Between the names in a cell, whichever of them the cells are not cut at.
SEPARATORS = re.compile(r'[;,|]')

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class LabelRow:
    """One line of a label table.

    Attributes:
        line: Number of the line, from 1.
        image: Image as the file names it.
        names: Class names as the file spells them.
    """

    line: int
    image: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class LabelTable:
    """Content of a CSV file of labels.

    Attributes:
        rows: Lines of the file; an image may have several.
        columns: Class names, where each class has a column of its own.
    """

    rows: list[LabelRow]
    columns: tuple[str, ...] | None = None


def read_label_table(
    path: str | Path, classes: Sequence[str] = ()
) -> LabelTable:
    """Read a CSV file in one of three forms.

    * ``image,labels`` with several names in a cell, between semicolons,
      bars, or commas in quotes;
    * one row per pair, ``image,label``;
    * one column per class, ``image,cat,dog,...``, with 0 or 1 below.

    Cells are cut at commas, semicolons or tabs, whichever the first line has
    first. A header is found by its words and may have further columns; only
    the last form needs one.

    Args:
        path: Path of the file, in UTF-8, with or without a byte order mark.
        classes: Foreground class names; a first line with one of them is not
            taken for a header.

    Raises:
        ValueError: The file is empty or not in UTF-8, has no column of
            images or labels, or a row fits none of the forms; the message
            has the number of the line.
    """
    rows = _read_rows(path)
    if not rows:
        raise ValueError(f'{path} is empty.')
    if len(rows) > 1 and _are_flags(rows[1][1]) and not _are_flags(rows[0][1]):
        return _read_flag_columns(path, rows)
    return _read_name_cells(path, rows, NameIndex(classes))


def _read_rows(path: str | Path) -> list[Row]:
    try:
        text = Path(path).read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not encoded in UTF-8 (byte {error.start}); save it as '
            '"CSV UTF-8".'
        ) from error
    first = next((line for line in text.splitlines() if line.strip()), '')
    reader = csv.reader(
        io.StringIO(text, newline=''),
        delimiter=_find_delimiter(first),
        skipinitialspace=True,
    )
    return [
        (reader.line_num, [cell.strip() for cell in row])
        for row in reader
        if any(cell.strip() for cell in row)
    ]


def _find_delimiter(line: str) -> str:
    """Return the first delimiter of a line outside of quotes."""
    bare = re.sub(r'"[^"]*"', '', line)
    return next((sign for sign in bare if sign in DELIMITERS), ',')


def _are_flags(row: Sequence[str]) -> bool:
    return len(row) > 1 and all(cell.lower() in FLAGS for cell in row[1:])


def _read_flag_columns(path: str | Path, rows: list[Row]) -> LabelTable:
    (_, header), *body = rows
    found = []
    for line, row in body:
        if len(row) != len(header) or not _are_flags(row) or not row[0]:
            raise ValueError(
                f'{path}, line {line}: expected an image and '
                f'{len(header) - 1} cells of 0 or 1, found {row}.'
            )
        present = [
            name
            for name, cell in zip(header[1:], row[1:])
            if FLAGS[cell.lower()]
        ]
        found.append(LabelRow(line, row[0], tuple(present)))
    return LabelTable(found, tuple(header[1:]))


def _read_name_cells(
    path: str | Path, rows: list[Row], index: NameIndex
) -> LabelTable:
    columns = _find_columns(path, rows[0], index)
    width = 2
    if columns is not None:
        width = len(rows[0][1])
        rows = rows[1:]
    image, labels = columns or (0, 1)
    found = []
    for line, row in rows:
        if len(row) != width or not row[image]:
            raise ValueError(
                f'{path}, line {line}: expected "image,labels" (names '
                f'separated by semicolons, or none), found {row}.'
            )
        cell = row[labels]
        # A name may hold a separator itself.
        parts = [cell] if index.find(cell) is not None else []
        names = [name.strip() for name in parts or SEPARATORS.split(cell)]
        found.append(LabelRow(line, row[image], tuple(filter(None, names))))
    return LabelTable(found)


def _find_columns(
    path: str | Path, first: Row, index: NameIndex
) -> tuple[int, int] | None:
    """Return the columns of images and labels, if there is a header.

    Raises:
        ValueError: The header lacks one of the two columns.
    """
    line, row = first
    words = [re.sub(r'[\W_]+', '', cell).lower() for cell in row]
    images = [i for i, word in enumerate(words) if word in ID_COLUMNS]
    labels = [
        i
        for i, word in enumerate(words)
        if word in LABEL_COLUMNS and index.find(row[i]) is None
    ]
    if images and labels:
        return images[0], labels[0]
    for wanted, others, columns, example in (
        ('images', labels, ID_COLUMNS, 'image'),
        ('labels', images, LABEL_COLUMNS, 'labels'),
    ):
        # Two cells without a word of each kind are data, not a header.
        if len(row) > 2 and others and not columns & set(words):
            raise ValueError(
                f'{path}, line {line}: the columns are {row}, none of which '
                f'is known to hold {wanted}; call it {example!r}.'
            )
    return None


def read_csv(
    path: str | Path, classes: Sequence[str] | None = None
) -> ImageLabels:
    """Read labels from a CSV file.

    Args:
        path: Path of the file; see :func:`read_label_table` for its forms.
        classes: Class names; None takes the columns, where each class has
            one.

    Raises:
        ValueError: The file cannot be read, or names unknown classes.
    """
    names = split_background(classes or ())[0]
    table = read_label_table(path, names)
    if classes is None:
        classes = require_classes(path, table.columns)
    collector = LabelCollector(path, classes)
    found: dict[str, list[int]] = {}
    for row in table.rows:
        indices = [
            collector.find(name, row.image, f'line {row.line}')
            for name in row.names
        ]
        key = canonical_image_id(row.image)
        if table.columns is not None:
            collector.add(key, indices)
        else:
            found.setdefault(key, []).extend(indices)
    for image_id, indices in found.items():
        collector.add(image_id, indices)
    return collector.result()
