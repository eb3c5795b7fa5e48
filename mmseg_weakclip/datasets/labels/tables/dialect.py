"""Rows of a table: encoding, sign between the columns, lines."""

import codecs
import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_weakclip.datasets.labels.cells import tidy

DELIMITERS = ',;\t|'
SEP_LINE = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
SPREADSHEETS = ('.xlsx', '.xls', '.xlsm', '.ods', '.numbers')

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Rows:
    """Cells of a table.

    Attributes:
        rows: Number of the line, from 1, and cells of each row that has any.
        delimiter: Sign between the columns.
    """

    rows: list[Row]
    delimiter: str


def read_rows(
    path: str | Path,
    delimiter: str | None = None,
    is_image: Callable[[str], bool] | None = None,
) -> Rows:
    """Read the rows of a table.

    Without a delimiter, the one is taken whose first cells name the most
    images, then the one that gives all rows the same number of cells, then
    the one that stands first.

    Args:
        path: File in UTF-8, or in UTF-16 with a byte order mark.
        delimiter: Sign between the columns; None finds out.
        is_image: Function that tells whether a cell names an image.

    Raises:
        ValueError: The file is empty, of another encoding, or a spreadsheet.
    """
    lines = _decode(Path(path)).splitlines(keepends=True)
    skipped = 0
    first = next((line for line in lines if line.strip()), '')
    told = SEP_LINE.match(first)
    if told:
        skipped = lines.index(first) + 1
        delimiter = delimiter or told[1]
    text = ''.join(lines[skipped:])
    if not text.strip():
        raise ValueError(f'{path} is empty.')
    if delimiter is None:
        delimiter = _find_delimiter(text, is_image)
    try:
        return Rows(_split(text, delimiter, skipped), delimiter)
    except ValueError as error:
        raise ValueError(f'{path}, {error}') from error


def _decode(path: Path) -> str:
    if path.suffix.lower() in SPREADSHEETS:
        raise ValueError(
            f'{path} is a spreadsheet; save it as "CSV UTF-8" and give that '
            'file.'
        )
    content = path.read_bytes()
    encoding = 'utf-8-sig'
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = 'utf-16'
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not encoded in UTF-8 (byte {error.start}); save it as '
            '"CSV UTF-8".'
        ) from error
    if '\0' in text:
        raise ValueError(
            f'{path} holds zero bytes: it is not a table, or in UTF-16 '
            'without a byte order mark; save it as "CSV UTF-8".'
        )
    return text


def _split(text: str, delimiter: str, skipped: int = 0) -> list[Row]:
    if delimiter == ' ':
        # A name of an image may be followed by class names.
        cut = [line.split(None, 1) for line in text.splitlines()]
        numbered = list(enumerate(cut, 1 + skipped))
    else:
        reader = csv.reader(
            io.StringIO(text, newline=''),
            delimiter=delimiter,
            skipinitialspace=True,
        )
        try:
            numbered = [(reader.line_num + skipped, row) for row in reader]
        except csv.Error as error:
            raise ValueError(
                f'line {reader.line_num + skipped} is broken: {error}.'
            ) from error
    tidied = [(line, [tidy(cell) for cell in row]) for line, row in numbered]
    return [(line, row) for line, row in tidied if any(row)]


def _find_delimiter(text: str, is_image: Callable[[str], bool] | None) -> str:
    first = next(line for line in text.splitlines() if line.strip())
    bare = re.sub(r'"[^"]*"', '', first)
    order = [sign for sign in dict.fromkeys(bare) if sign in DELIMITERS]
    order += [sign for sign in DELIMITERS if sign not in order]
    tried = []
    for place, sign in enumerate(order):
        try:
            rows = _split(text, sign)
        except ValueError:
            continue
        widths = Counter(len(row) for _, row in rows)
        width, same = widths.most_common(1)[0]
        if width < 2 and len(widths) == 1:
            continue
        named = _most_images(rows, is_image)
        tried.append(((-named, -same, place), sign))
    if tried:
        return min(tried)[1]
    if is_image is not None:
        rows = _split(text, ' ')
        if _most_images(rows, is_image):
            return ' '
    return order[0]


def _most_images(
    rows: Sequence[Row], is_image: Callable[[str], bool] | None
) -> int:
    """Return how many different images the best column names."""
    if is_image is None:
        return 0
    cells: dict[int, set[str]] = defaultdict(set)
    for _, row in rows:
        for place, cell in enumerate(row):
            cells[place].add(cell)
    return max(
        (
            sum(bool(cell) and is_image(cell) for cell in found)
            for found in cells.values()
        ),
        default=0,
    )
