"""Readers of captions from tables: TSV and JSON Lines."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from .entries import CaptionEntry, field_of, read_text, text_of

# Columns and keys that are looked for if none is named.
IMAGE_COLUMNS = ('image', 'filepath', 'file_path', 'filename', 'file_name',
                 'file', 'path', 'image_path', 'img_path', 'img', 'url',
                 'image_url')  # fmt: skip
CAPTION_COLUMNS = ('caption', 'captions', 'title', 'text', 'sentence')
# Number of images that img2dataset puts into a folder.
IMAGES_PER_FOLDER = 10000


def _find_column(
    path: str | Path,
    named: str | None,
    known: Sequence[str],
    header: Sequence[str],
) -> str:
    """Return the column that was named, or the only known one."""
    found = [name for name in header if name.strip().lower() in known]
    if named is not None:
        found = [name for name in header if name == named]
    if len(found) != 1:
        raise ValueError(
            f'{path} has the columns {list(header)}, of which '
            f'{named or " or ".join(known)!r} should be exactly one; name it '
            'with reader=dict(image_column=..., caption_column=...).'
        )
    return found[0]


def read_jsonl(
    path: str | Path,
    image_column: str | None = None,
    caption_column: str | None = None,
) -> Iterator[CaptionEntry]:
    """Read JSON Lines: objects with an image and a caption.

    Args:
        path: Path of the file.
        image_column: Key of the image; None tries the usual names.
        caption_column: Key of the caption; None tries the usual names.

    Raises:
        ValueError: A line is broken (the message has its number), or a key
            is missing.
    """
    columns: tuple[str, str] | None = None
    for number, line in enumerate(read_text(path).split('\n'), 1):
        if not line.strip():
            continue
        place = f'line {number}'
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(
                f'{path}, {place}: broken JSON, {error.msg}.'
            ) from error
        if not isinstance(record, dict):
            raise ValueError(f'{path}, {place}: not a JSON object.')
        if columns is None:
            columns = (
                _find_column(path, image_column, IMAGE_COLUMNS, [*record]),
                _find_column(path, caption_column, CAPTION_COLUMNS, [*record]),
            )
        image, caption = (
            text_of(field_of(record, column, path, place), path, place)
            for column in columns
        )
        yield CaptionEntry(image, caption, place)


def read_tsv(
    path: str | Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    url_names: str | None = None,
) -> Iterator[CaptionEntry]:
    """Read columns separated by tabs, with a header or as in CC3M.

    A header is recognised by its words; without one, the columns are a
    caption and an image. CC3M's images are URLs: ``url_names`` names their
    files.

    Args:
        path: Path of the file.
        image_column: Column of the image; None tries the usual names.
        caption_column: Column of the caption; None tries the usual names.
        url_names: File of an image that is given by a URL, with ``{row}``
            for the number of its row, from 0, and ``{folder}`` for the
            number of its 10,000 rows. img2dataset names files
            ``'{folder:05d}/{row:09d}.jpg'``.

    Raises:
        ValueError: A line has another number of columns (the message has its
            number), a column is missing, or there are URLs without
            ``url_names``.
    """
    lines = [
        (number, line.rstrip('\r').split('\t'))
        for number, line in enumerate(read_text(path).split('\n'), 1)
        if line.strip()
    ]
    if not lines:
        raise ValueError(f'{path} is empty.')
    header = lines[0][1]
    words = {word.strip().lower() for word in header}
    is_header = bool(
        words & set(IMAGE_COLUMNS) and words & set(CAPTION_COLUMNS)
    )
    caption_at, image_at, columns = 0, 1, 2
    if is_header or image_column or caption_column:
        columns = len(header)
        image_at = header.index(
            _find_column(path, image_column, IMAGE_COLUMNS, header)
        )
        caption_at = header.index(
            _find_column(path, caption_column, CAPTION_COLUMNS, header)
        )
        lines = lines[1:]
    for row, (number, cells) in enumerate(lines):
        place = f'line {number}'
        if len(cells) != columns or not cells[image_at].strip():
            raise ValueError(
                f'{path}, {place}: expected {columns} columns, an image among '
                f'them, found {cells}.'
            )
        image = cells[image_at].strip()
        if '://' in image:
            if url_names is None:
                raise ValueError(
                    f'{path}, {place}: {image} is a URL. Download the images '
                    '(e.g. with img2dataset) and say how their files are '
                    'named: reader=dict(url_names='
                    "'{folder:05d}/{row:09d}.jpg')."
                )
            image = url_names.format(row=row, folder=row // IMAGES_PER_FOLDER)
        yield CaptionEntry(image, cells[caption_at], place)
