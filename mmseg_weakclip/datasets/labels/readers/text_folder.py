"""A folder of ``<id>.txt``, class names by line or by comma."""

import re

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    listed_files,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .class_files import LINES


def _matches(content: Content) -> bool:
    """Return whether a folder holds text files."""
    return '.txt' in content.suffixes


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read class names from text files.

    Raises:
        FileNotFoundError: Files are missing.
        ValueError: A file is not in UTF-8.
    """
    rows = []
    lists = []
    for file in options.track(listed_files(content.path, '.txt', options.ids)):
        if file.name in LINES and options.ids is None:
            lists.append(file.name)
            continue
        try:
            text = file.read_text(encoding='utf-8-sig')
        except UnicodeDecodeError as error:
            raise ValueError(f'{file} is not in UTF-8.') from error
        names = (name.strip() for name in re.split(r'[,\n]', text))
        rows.append(LabelRow(file.name, file.stem, tuple(filter(None, names))))
    notes = tuple(f'a list of classes, no image: {name}' for name in lists)
    return LabelFile(str(content.path), FORMAT.title, tuple(rows), notes=notes)


FORMAT = LabelFormat('txt', 'text file per image', _matches, _read)
