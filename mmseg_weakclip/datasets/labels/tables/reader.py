"""Reader of image labels from tables: CSV and its relatives."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmseg_weakclip.common.names import NameIndex, split_background
from mmseg_weakclip.datasets.labels.cells import find_joined, parse_cell
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .columns import Columns, choose_columns
from .dialect import Row, read_rows
from .flags import describe_values
from .label_columns import LABEL_WORDS
from .options import TableOptions
from .table import Table, word_of


def read_label_table(
    path: str | Path,
    classes: Sequence[str] = (),
    options: TableOptions | None = None,
    finder: ImageFinder | None = None,
) -> LabelFile:
    """Read a table of image labels in one of three layouts.

    * ``image,labels`` with several names in a cell ('list');
    * one row per pair, ``image,label`` ('long');
    * one column per class, ``image,cat,dog,...``, with 0 or 1 below
      ('one-hot').

    Columns may come in any order, with others between them; see
    :mod:`columns` for how they are told apart, :mod:`cells` for what a cell
    may hold.

    Args:
        path: Path of the file; see :func:`read_rows` for its encoding.
        classes: Known foreground classes, with or without the background.
        options: What the user says about the table; None finds out.
        finder: Images that are there; None if unknown.

    Raises:
        ValueError: The file cannot be read, is ambiguous, or a row fits none
            of the layouts; the message has the number of the line.
    """
    options = options or TableOptions()
    index = NameIndex(split_background(classes)[0])
    is_image = None
    if finder is not None:
        is_image = lambda cell: finder.match(cell) is not None  # noqa: E731
    read = read_rows(path, options.delimiter, is_image)
    _check_widths(path, read.rows)
    if read.delimiter == ' ' and options.separator is None:
        # Blanks that part the image from its names part the names too.
        options = replace(options, separator=' ')
    table = Table(str(path), read.rows, index, finder, options)
    columns = choose_columns(table)
    table, repeated = _without_repeated_headers(table, columns)
    if repeated:
        note = f'{repeated} more lines repeat the header and are left out'
        columns = replace(columns, notes=(*columns.notes, note))
    if columns.one_hot:
        return _read_flags(table, columns)
    return _read_names(table, columns)


def _without_repeated_headers(
    table: Table, columns: Columns
) -> tuple[Table, int]:
    """Return a table without the headers of files put behind each other."""
    if columns.header is None:
        return table, 0
    head, *body = table.rows
    kept = [row for row in body if tuple(row[1]) != columns.header]
    return replace(table, rows=[head, *kept]), len(body) - len(kept)


def _check_widths(path: str | Path, rows: Sequence[Row]) -> None:
    """Check that all rows are as long as the first.

    Raises:
        ValueError: A row is longer or shorter; more than one name behind the
            image may be meant, or another delimiter.
    """
    line, first = rows[0]
    for number, row in rows:
        if len(row) != len(first):
            raise ValueError(
                f'{path}, line {number}: {len(row)} cells, where line {line} '
                f'has {len(first)}: {row}. Expected "image,labels", several '
                'names between semicolons or in quotes, or a column for each '
                'class'
            )


def _read_flags(table: Table, columns: Columns) -> LabelFile:
    header = columns.header or ()
    names, notes = _class_names(table, [header[i] for i in columns.labels])
    present = [describe_values(table.cells(i)).present for i in columns.labels]
    rows = []
    for line, row in table.rows[1:]:
        _require_image(table, line, row, columns.image)
        shown = tuple(
            name
            for name, column, words in zip(names, columns.labels, present)
            if name and row[column].lower() in words
        )
        rows.append(LabelRow(f'line {line}', row[columns.image], shown))
    _check_repeats(table, rows)
    values = {row[i] for _, row in table.rows[1:] for i in columns.labels}
    if values & {'-1', '-1.0'}:
        notes.append('-1 is read as absent')
    return LabelFile(
        table.source,
        f'table with a column for each class ({len(names)})',
        tuple(rows),
        tuple(name for name in names if name),
        (*_describe_columns(table, columns), *columns.notes, *notes),
    )


def _class_names(
    table: Table, cells: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the class of each column, '' for none, and notes.

    ``pandas.get_dummies`` puts the name of a column in front of every class.
    """
    line = table.rows[0][0]
    if '' in cells:
        raise ValueError(
            f'{table.source}, line {line}: a column of 0 and 1 has no name'
        )
    twice = [name for name, n in Counter(cells).items() if n > 1]
    if twice:
        raise ValueError(
            f'{table.source}, line {line}: two columns are called {twice[0]!r}'
        )
    heads = {cell.split('_')[0] for cell in cells}
    head = next(iter(heads))
    strip = (
        len(heads) == 1
        and len(cells) > 1
        and word_of(head) in LABEL_WORDS
        and all(table.index.find(cell) is None for cell in cells)
        and all(cell != head and cell != f'{head}_' for cell in cells)
    )
    if not strip:
        return list(cells), []
    note = f'{head!r} in front of every class is left out'
    return [cell[len(head) + 1 :] for cell in cells], [note]


def _read_names(table: Table, columns: Columns) -> LabelFile:
    rows = []
    start = int(columns.header is not None)
    for line, row in table.rows[start:]:
        _require_image(table, line, row, columns.image)
        names: list[str] = []
        for column in columns.labels:
            try:
                names += parse_cell(
                    row[column], table.index, table.options.separator
                )
            except ValueError as error:
                raise ValueError(
                    f'{table.source}, line {line}: {error}'
                ) from error
        rows.append(
            LabelRow(
                f'line {line}', row[columns.image], tuple(dict.fromkeys(names))
            )
        )
    _check_joined(table, rows)
    layout = 'names in a cell'
    if any(len(row.names) > 1 for row in rows):
        layout = 'several names in a cell'
    elif len({row.image for row in rows}) < len(rows):
        layout = 'a row for each pair'
    return LabelFile(
        table.source,
        f'table with {layout}',
        tuple(rows),
        notes=(*_describe_columns(table, columns), *columns.notes),
    )


def _require_image(
    table: Table, line: int, row: list[str], image: int
) -> None:
    if not row[image]:
        raise ValueError(
            f'{table.source}, line {line}: the cell of the image is empty: '
            f'{row}'
        )


def _check_repeats(table: Table, rows: Sequence[LabelRow]) -> None:
    """Check that no image has two different rows of flags.

    Raises:
        ValueError: An image has; which row holds is not known.
    """
    first: dict[str, LabelRow] = {}
    for row in rows:
        other = first.setdefault(row.image, row)
        if other.names != row.names:
            raise ValueError(
                f'{table.source}, {row.place}: image {row.image!r} has two '
                f'different rows, the other in {other.place}. Keep one'
            )


def _check_joined(table: Table, rows: Sequence[LabelRow]) -> None:
    """Check that no name may be several classes.

    Raises:
        ValueError: Parts of a name are names too, and no list of classes
            tells.
    """
    if table.options.separator is not None or table.index.classes:
        return
    found = find_joined(name for row in rows for name in row.names)
    if found:
        name, parts, sign = found
        raise ValueError(
            f'{table.source}: {name!r} may be one class or {len(parts)} '
            f'({", ".join(parts)}; some stand alone elsewhere). Say so by '
            f"--separator '{sign}' or --separator ';', or give --classes"
        )


def _describe_columns(table: Table, columns: Columns) -> list[str]:
    first = table.rows[0][1]
    if columns.header is None:
        return [
            f'no header: images in column {columns.image + 1}, labels in '
            + ', '.join(str(i + 1) for i in columns.labels)
        ]
    labels = ', '.join(repr(first[i]) for i in columns.labels[:6])
    more = len(columns.labels) - 6
    return [
        f'images in column {first[columns.image]!r}, labels in {labels}'
        + (f' and {more} more' if more > 0 else '')
    ]
