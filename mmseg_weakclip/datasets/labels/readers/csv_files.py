"""Lines of a CSV that a tool has written, with a header or without."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path


def csv_rows(
    path: Path, delimiter: str = ',', comment: str = ''
) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line that is not blank.

    Args:
        path: File in UTF-8.
        delimiter: Sign between the cells.
        comment: Sign in front of the first line that is not a part of it.

    Raises:
        ValueError: The file is not in UTF-8, or a line is broken.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not encoded in UTF-8 (byte {error.start}); export it '
            'again, or save it as "CSV UTF-8"'
        ) from error
    # Masks as JSON make long cells.
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(
        io.StringIO(text.removeprefix(comment), newline=''),
        delimiter=delimiter,
        skipinitialspace=True,
    )
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(
            f'{path}, line {reader.line_num} is broken: {error}'
        ) from error
    finally:
        csv.field_size_limit(limit)


def csv_records(
    path: Path, delimiter: str = ',', comment: str = ''
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and cells by column of each line below the header.

    Args:
        path: File in UTF-8.
        delimiter: Sign between the cells.
        comment: Sign in front of the header that is not a part of it.

    Raises:
        ValueError: The file is not in UTF-8, a line is broken, or has another
            number of cells than the header.
    """
    rows = csv_rows(path, delimiter, comment)
    _, header = next(rows, (0, []))
    for line, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f'{path}, line {line}: {len(cells)} cells instead of '
                f'{len(header)}; put names with commas in quotes, or export '
                'the file again if it is cut off'
            )
        yield line, dict(zip(header, cells))
