"""A table whose columns are not known yet, and what a user says about it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmseg_weakclip.common.names import NameIndex
from mmseg_weakclip.datasets.labels.matching import ImageFinder

from .dialect import Row
from .options import TableOptions


@dataclass(frozen=True)
class Table:
    """Rows of equal length, for the choice of columns.

    Attributes:
        source: Path of the file, for messages.
        rows: Lines and cells, the header included if there is one.
        index: Known classes; may be empty.
        finder: Images that are there; None if unknown.
        options: What the user says.
    """

    source: str
    rows: Sequence[Row]
    index: NameIndex
    finder: ImageFinder | None
    options: TableOptions

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0][1])

    def cells(self, column: int, start: int = 1) -> list[str]:
        """Return the cells of a column, from a row on."""
        return [row[column] for _, row in self.rows[start:]]

    def name(self, column: int) -> str:
        """Return the words for a column in messages."""
        return f'{column + 1} ({self.rows[0][1][column]!r})'


def word_of(cell: str) -> str:
    """Return a header cell without case, blanks and signs."""
    return re.sub(r'[\W_]+', '', cell).casefold()


def given_column(table: Table, given: str, option: str) -> int:
    """Return the position of a column that the user names.

    Args:
        table: Rows of the table.
        given: Header of the column, or its number from 1.
        option: Flag of the user, for the message.

    Raises:
        ValueError: There is no such column, or several.
    """
    first = [word_of(cell) for cell in table.rows[0][1]]
    exact = [i for i, c in enumerate(table.rows[0][1]) if c == given]
    found = exact or [i for i, c in enumerate(first) if c == word_of(given)]
    if len(found) == 1:
        return found[0]
    if not found and given.isdecimal() and 1 <= int(given) <= table.width:
        return int(given) - 1
    raise ValueError(
        f'{table.source}: {option} {given!r} is '
        f'{"several columns" if found else "not a column"}; the columns are '
        f'{", ".join(table.name(i) for i in range(table.width))}'
    )
