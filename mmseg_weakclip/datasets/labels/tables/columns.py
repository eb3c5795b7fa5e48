"""Columns of a table: which names the images, which hold labels."""

import re
from dataclasses import dataclass

from mmseg_weakclip.datasets.labels.matching import looks_like_file

from .flags import describe_values
from .image_column import (
    IMAGE_WORDS,
    WEAK_IMAGE_WORDS,
    choose_image_column,
)
from .label_columns import LABEL_WORDS, choose_label_columns
from .table import Table, word_of


@dataclass(frozen=True)
class Columns:
    """Columns of a table, by what they hold.

    Attributes:
        header: Cells of the first row if it is a header.
        image: Position of the column of images, from 0.
        labels: Positions of the columns of labels.
        one_hot: Whether each of these is a class, present or not.
        notes: What was chosen and left out.
    """

    header: tuple[str, ...] | None
    image: int
    labels: tuple[int, ...]
    one_hot: bool
    notes: tuple[str, ...] = ()


def choose_columns(table: Table) -> Columns:
    """Return the columns of images and labels.

    Args:
        table: Rows of the table.

    Raises:
        ValueError: The columns are ambiguous or not there; the message shows
            the candidates and the options that settle it.
    """
    image, notes = choose_image_column(table)
    header = _has_header(table, image)
    columns = choose_label_columns(table, image, header=header)
    return Columns(
        tuple(table.rows[0][1]) if header else None,
        image,
        columns.labels,
        columns.one_hot,
        (*notes, *columns.notes),
    )


def _has_header(table: Table, image: int) -> bool:
    """Return whether the first row names the columns.

    Raises:
        ValueError: It may also be an image that is not there.
    """
    line, first = table.rows[0]
    name = first[image]
    others = [cell for i, cell in enumerate(first) if i != image]
    # A class may be called like a header.
    free = [cell for cell in others if table.index.find(cell) is None]
    words = {word_of(cell) for cell in free if cell}
    is_word = word_of(name) in IMAGE_WORDS | WEAK_IMAGE_WORDS
    flags_below = _flags_below(table, image)
    if not name or name == table.options.image_column:
        return True
    if table.finder is not None and table.finder.match(name) is not None:
        return is_word and bool(words & LABEL_WORDS)
    if looks_like_file(name):
        return False
    if words & LABEL_WORDS or flags_below:
        return True
    below = [cell for cell in table.cells(image) if cell]
    if below and all(looks_like_file(cell) for cell in below):
        return True
    if table.finder is None:
        known = bool(table.index.classes) and bool(others) and not free
        return is_word and not known
    if is_word:
        return True
    shape = re.sub(r'\d+', '0', name)
    if '0' in shape and shape in {re.sub(r'\d+', '0', c) for c in below}:
        # An image that is not there, numbered like the others.
        return False
    used = {cell for i in range(table.width) for cell in table.cells(i)
            if i != image}  # fmt: skip
    numbered = below and all(re.search(r'\d', cell) for cell in below)
    if numbered and not re.search(r'\d', name) and not used & set(others):
        return True
    raise ValueError(
        f'{table.source}, line {line}: {first} may be a header, or an image '
        'that is not there; put a header like "image,labels" on top'
    )


def _flags_below(table: Table, image: int) -> bool:
    """Return whether flags stand below a cell that is none."""
    return any(
        describe_values(table.cells(i)).kind == 'flags'
        and describe_values([table.rows[0][1][i]]).kind == 'text'
        for i in range(table.width)
        if i != image
    )
