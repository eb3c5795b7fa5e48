"""What a user says about a table of labels, and the flags that say it."""

import argparse
from dataclasses import dataclass

LAYOUTS = ('auto', 'list', 'long', 'one-hot')
# As they can be typed in a shell.
SIGNS = {'tab': '\t', '\\t': '\t', 'space': ' ', 'comma': ',',
         'semicolon': ';'}  # fmt: skip


@dataclass(frozen=True)
class TableOptions:
    """What a user says about a table; ``None`` finds out.

    Attributes:
        image_column: Header or number, from 1, of the column of images.
        label_columns: Headers or numbers of the columns of labels.
        delimiter: Sign between the columns.
        separator: Sign between the names in a cell.
        layout: One of LAYOUTS: names in a cell ('list'), a row for each name
            ('long'), or a column for each class ('one-hot').
    """

    image_column: str | None = None
    label_columns: tuple[str, ...] = ()
    delimiter: str | None = None
    separator: str | None = None
    layout: str = 'auto'


def add_table_options(group: argparse._ArgumentGroup) -> None:
    """Add the flags about tables to a parser.

    Args:
        group: Group of flags, or a parser.
    """
    group.add_argument(
        '--image-column',
        metavar='NAME',
        help='column of a table that names the images: its header, or its '
        'number from 1 (default: the one whose values are images)',
    )
    group.add_argument(
        '--label-columns',
        '--label-column',
        metavar='NAMES',
        help='columns of a table with the labels, between commas',
    )
    group.add_argument(
        '--layout',
        choices=LAYOUTS,
        help='a table has several names in a cell (list), a row for each '
        'pair (long), or a column for each class (one-hot)',
    )
    group.add_argument(
        '--delimiter',
        metavar='SIGN',
        help='sign between the columns of a table: , ; | tab or space',
    )
    group.add_argument(
        '--separator',
        metavar='SIGN',
        help='sign between the names in a cell, such as ; or space',
    )


def parse_table_options(
    image_column: str | None = None,
    label_columns: str | None = None,
    delimiter: str | None = None,
    separator: str | None = None,
    layout: str | None = None,
) -> TableOptions:
    """Return what the flags of :func:`add_table_options` say.

    Raises:
        ValueError: The delimiter has more than one sign.
    """
    if delimiter is not None:
        delimiter = SIGNS.get(delimiter, delimiter)
        if len(delimiter) != 1:
            raise ValueError(
                f'--delimiter {delimiter!r} is not one sign; give , ; | tab '
                'or space'
            )
    if separator is not None:
        separator = SIGNS.get(separator, separator)
        if not separator:
            raise ValueError('--separator is empty; give a sign, such as ;')
    columns = (label_columns or '').split(',')
    return TableOptions(
        image_column=image_column,
        label_columns=tuple(c.strip() for c in columns if c.strip()),
        delimiter=delimiter,
        separator=separator,
        layout=layout or 'auto',
    )
