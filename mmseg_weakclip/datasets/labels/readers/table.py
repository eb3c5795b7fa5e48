"""Tables of labels: CSV, with any sign between the columns."""

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.records import LabelFile
from mmseg_weakclip.datasets.labels.tables.dialect import SPREADSHEETS
from mmseg_weakclip.datasets.labels.tables.reader import read_label_table

SUFFIXES = ('.csv', '.tsv', '.tab', '.txt', *SPREADSHEETS)


def _matches(content: Content) -> bool:
    """Return whether a file has the suffix of a table."""
    return content.suffix in SUFFIXES


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read a table; see :func:`read_label_table`."""
    return read_label_table(
        content.path, options.classes or (), options.table, options.finder
    )


FORMAT = LabelFormat('csv', 'table', _matches, _read)
