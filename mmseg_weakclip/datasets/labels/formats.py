"""Reader of image labels that finds out their format."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .annotations import (
    parse_coco_instances,
    read_coco_json,
    read_mask_labels,
    read_voc_xml,
)
from .arrays import read_npy
from .image_labels import ImageLabels
from .tables import read_csv
from .texts import load_json, parse_json_labels, read_clip_es, read_txt_folder


def read_json_labels(
    path: str | Path,
    classes: Sequence[str] | None = None,
    *,
    crowd: bool = True,
) -> ImageLabels:
    """Read labels from our JSON or from COCO's, whichever the file holds.

    See :func:`parse_json_labels` and :func:`parse_coco_instances`.
    """
    data = load_json(path)
    if {'images', 'annotations', 'categories'} <= set(data):
        return parse_coco_instances(data, path, classes, crowd=crowd)
    return parse_json_labels(data, path, classes)


READERS: dict[str, Callable[..., ImageLabels]] = {
    'npy': read_npy,
    'json': read_json_labels,
    'csv': read_csv,
    'txt': read_txt_folder,
    'voc-xml': read_voc_xml,
    'coco-json': read_coco_json,
    'clip-es': read_clip_es,
    'masks': read_mask_labels,
}
# Formats of one file per image, which read only the images asked for.
FOLDER_FORMATS = {'.txt': 'txt', '.xml': 'voc-xml', '.png': 'masks'}
FILE_FORMATS = {
    '.npy': 'npy',
    '.json': 'json',
    '.csv': 'csv',
    '.txt': 'clip-es',
}


def detect_format(path: str | Path) -> str:
    """Return the format of a file (by suffix) or a folder (by content).

    Args:
        path: Path of the label file, or of the folder of label files.

    Returns:
        A name of :data:`READERS`.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The format is unknown, or a folder holds several.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f'The image labels {path} do not exist. '
            'tools/dataset_converters/image_labels.py makes them from VOC or '
            'COCO annotations, label lists or masks.'
        )
    if path.is_file():
        if path.suffix in FILE_FORMATS:
            return FILE_FORMATS[path.suffix]
        raise ValueError(
            f'{path} is not one of {sorted(FILE_FORMATS)}; name its format, '
            f'one of {sorted(READERS)}.'
        )
    suffixes = {entry.suffix for entry in path.iterdir()} & set(FOLDER_FORMATS)
    if len(suffixes) != 1:
        raise ValueError(
            f'{path} holds {sorted(suffixes) or "no"} label files; a folder '
            f'of one kind of {sorted(FOLDER_FORMATS)} is expected.'
        )
    return FOLDER_FORMATS[suffixes.pop()]


def read_image_labels(
    path: str | Path,
    classes: Sequence[str] | None = None,
    format: str = 'auto',
    **options: Any,
) -> ImageLabels:
    """Read image labels of any format.

    Args:
        path: Path of the label file, or of the folder of label files.
        classes: Class names, with or without the background in front; None
            takes the file's own, where it has them.
        format: A name of :data:`READERS`; 'auto' finds out.
        options: Further arguments of the reader.

    Raises:
        ValueError: The labels have a defect; the message names the file and
            the place.
        FileNotFoundError: There is no such file or folder.
    """
    if format == 'auto':
        format = detect_format(path)
    return READERS[format](path, classes, **options)


@functools.lru_cache(maxsize=8)
def _read_version(
    path: str, version: int, classes: tuple[str, ...]
) -> ImageLabels:
    return read_image_labels(path, classes)


def cached_image_labels(path: str, classes: Sequence[str]) -> ImageLabels:
    """Read image labels once per process, file and class list.

    Args:
        path: Path of the label file; it is read again when it has changed.
        classes: Class names, with or without the background in front.

    Raises:
        ValueError: See :func:`read_image_labels`.
        FileNotFoundError: See :func:`read_image_labels`.
    """
    version = Path(path).stat().st_mtime_ns if Path(path).exists() else 0
    return _read_version(str(path), version, tuple(classes))
