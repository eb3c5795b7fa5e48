"""Reader of image captions that finds out their format."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .entries import CaptionEntry, parse_json, read_text
from .json import json_format, parse_coco, parse_karpathy, parse_mapping
from .tables import read_jsonl, read_tsv

JSON_PARSERS: dict[str, Callable[..., Iterator[CaptionEntry]]] = {
    'coco': parse_coco,
    'karpathy': parse_karpathy,
    'json': parse_mapping,
}
TABLE_READERS: dict[str, Callable[..., Iterator[CaptionEntry]]] = {
    'jsonl': read_jsonl,
    'tsv': read_tsv,
}
CAPTION_FORMATS = (*JSON_PARSERS, *TABLE_READERS)


def read_captions(
    path: str | Path, format: str = 'auto', **options: Any
) -> Iterator[CaptionEntry]:
    """Read captions in the order of the file, including blank ones.

    Args:
        path: Path of the file.
        format: A name of :data:`CAPTION_FORMATS`; 'auto' recognises tables
            by their suffix, and kinds of JSON by their content.
        options: Further arguments of the reader: ``split`` of
            :func:`parse_karpathy`, columns of :func:`read_tsv` and
            :func:`read_jsonl`.

    Raises:
        ValueError: The file has a defect; the message names the place.
        FileNotFoundError: The file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'The caption file {path} does not exist.')
    if format not in ('auto', *CAPTION_FORMATS):
        raise ValueError(
            f'Unknown caption format {format!r}; there are '
            f'{list(CAPTION_FORMATS)}.'
        )
    suffix = path.suffix.lower().removeprefix('.')
    if format == 'auto' and suffix != 'json':
        if suffix not in TABLE_READERS:
            raise ValueError(
                f'{path} is not one of .json, .jsonl and .tsv; name its '
                f'format, one of {list(CAPTION_FORMATS)}.'
            )
        format = suffix
    if format in TABLE_READERS:
        return TABLE_READERS[format](path, **options)
    data = parse_json(read_text(path), str(path))
    if format == 'auto':
        format = json_format(data)
    return JSON_PARSERS[format](data, path, **options)
