"""Label Studio's CSV and TSV.

The columns are sorted by name: what tells data, answers and the rest apart
are their names and what they hold.

Reference: https://labelstud.io/guide/export
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.readers import table
from mmseg_weakclip.datasets.labels.readers.csv_files import csv_records
from mmseg_weakclip.datasets.labels.readers.named_groups import (
    choose_groups,
    rows_of,
)
from mmseg_weakclip.datasets.labels.records import LabelFile
from mmseg_weakclip.datasets.labels.tables.options import TableOptions

from .label_studio import image_of, is_file
from .label_studio_results import REGIONS, Answers, names_of_value

# Columns about the annotation.
SURE = {'annotation_id', 'annotator', 'lead_time'}
ABOUT = SURE | {'id', 'created_at', 'updated_at', 'agreement', 'history'}
ANSWERS = {'choice', 'choices', 'label', 'labels', 'class', 'classes',
           'category', 'tag', 'tags', 'taxonomy'}  # fmt: skip
DATA = '_data_'
NUMBER = re.compile(r'^[\d.,:TZ+-]+$')

Rows = list[tuple[int, dict[str, str]]]


def _matches(content: Content) -> bool:
    """Return whether a table has the columns that Label Studio adds."""
    if content.suffix not in ('.csv', '.tsv'):
        return False
    first = content.head.split('\n', 1)[0]
    header = {cell.strip(' \r"') for cell in re.split('[,\t]', first)}
    return header >= SURE


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the answers of each row.

    Raises:
        ValueError: A row is broken or has no image, or several columns hold
            names and the classes are not known.
    """
    if options.table != TableOptions():
        # The user says how the table is to be read.
        return table.FORMAT.read(content, options)
    path = str(content.path)
    rows = _rows(content)
    columns = [key for key in (rows[0][1] if rows else {}) if key not in ABOUT]
    texts, parsed = _answer_columns(columns, rows)
    answers = Answers()
    found = []
    for line, row in rows:
        where = f'{path}, line {line}'
        data = {k: v for k, v in row.items() if k in columns}
        image = image_of(
            {k: v for k, v in data.items() if k not in (*texts, *parsed)},
            None,
            where,
            options.finder,
        )
        pairs = []
        for column in (*texts, *parsed):
            value = _value(row[column])
            pairs += names_of_value(
                value, f'{where}: {column}', column, answers
            )
        found.append((f'line {line}', image, pairs))
    kept, notes = _choose(path, answers, options)
    labels = rows_of(found, kept)
    return LabelFile(path, FORMAT.title, labels, notes=tuple(notes))


def _choose(
    path: str, answers: Answers, options: ReadOptions
) -> tuple[set[str], list[str]]:
    """Return the columns whose names are classes, by their own names first.

    Raises:
        ValueError: Several may be, and no classes are known.
    """
    sure = {g for g in answers.groups if g == REGIONS or g.lower() in ANSWERS}
    if options.classes is None and len(sure) == 1:
        left = [group for group in answers.groups if group not in sure]
        _, notes = answers.choose(path, ('',))
        return sure, [*notes, *(f'column not read: {name!r}' for name in left)]
    if len(answers.groups) < 2:
        return answers.choose(path, options.classes)
    return choose_groups(path, answers.groups, options.classes)


def _rows(content: Content) -> Rows:
    """Return lines and cells by column.

    Raises:
        ValueError: A row has another length, or the file is not in UTF-8.
    """
    tabs = '\t' in content.head.split('\n', 1)[0]
    return list(csv_records(content.path, '\t' if tabs else ','))


def _answer_columns(
    columns: Sequence[str], rows: Rows
) -> tuple[list[str], list[str]]:
    """Return the columns of texts, and of JSON, that may hold names."""
    texts, parsed = [], []
    for column in columns:
        cells = [row[column] for _, row in rows if row[column].strip()]
        if not cells or column.startswith(DATA):
            continue
        if any(not isinstance(_value(cell), str) for cell in cells):
            parsed.append(column)
        elif not any(
            is_file(cell) or NUMBER.match(cell) or '://' in cell
            for cell in cells
        ):
            texts.append(column)
    return texts, parsed


def _value(cell: str) -> Any:
    """Return the list or object of a cell of JSON, or its text."""
    text = cell.strip()
    if text[:1] in ('[', '{'):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, (list, Mapping)):
            return value
    return text


FORMAT = LabelFormat('label-studio-csv', 'Label Studio CSV', _matches, _read)
