"""Readers of image labels of any format."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmseg_weakclip.common.names import split_background

from .content import Content, LabelFormat, ReadOptions
from .image_labels import ImageLabels
from .readers import (
    arrays,
    clip_es,
    coco,
    export_folder,
    image_folder,
    masks,
    own_json,
    table,
    text_folder,
    voc_xml,
    yolo,
)
from .readers.clouds import automl, ground_truth, vertex
from .readers.libraries import (
    fiftyone,
    hugging_face,
    json_records,
    open_images,
)
from .readers.tools import (
    cvat,
    label_studio,
    label_studio_csv,
    labelme,
    via,
)
from .records import LabelFile, clean_names, to_image_labels

# In the order in which they are tried: the particular before the general.
FORMATS: tuple[LabelFormat, ...] = tuple(
    module.FORMAT
    for module in (
        arrays,
        # Lines of JSON, by the keys of the first.
        vertex,
        ground_truth,
        hugging_face,
        # JSON; ours is like all others.
        coco,
        fiftyone,
        label_studio,
        labelme,
        via,
        json_records,
        own_json,
        # Text, by its first line.
        clip_es,
        open_images,
        automl,
        label_studio_csv,
        table,
        # XML, and folders.
        cvat,
        export_folder,
        voc_xml,
        yolo,
        text_folder,
        image_folder,
        masks,
    )
)
FORMAT_NAMES = tuple(format.name for format in FORMATS)


def find_format(content: Content, name: str = 'auto') -> LabelFormat:
    """Return the format of a label file or folder.

    Args:
        content: File or folder.
        name: Name of the format; 'auto' finds out from what the file holds.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The format is unknown.
    """
    path = content.path
    if not path.exists():
        raise FileNotFoundError(
            f'The image labels {path} do not exist. '
            'tools/dataset_converters/image_labels.py makes them from VOC or '
            'COCO annotations, label lists or masks.'
        )
    if name != 'auto':
        return next(format for format in FORMATS if format.name == name)
    for format in FORMATS:
        if format.matches(content):
            return format
    if path.is_dir():
        readable = [
            file
            for file in content.files
            if any(format.matches(Content(file)) for format in FORMATS)
        ]
        if len(readable) == 1:
            raise ValueError(
                f'{path} is a folder; give the file of labels in it: '
                f'{readable[0]}'
            )
        found = ', '.join(f'{n} {s}' for s, n in content.suffixes.items())
        raise ValueError(
            f'{path} is not a folder of labels that is known: it holds '
            f'{found or "no files"}. Name the format, one of '
            f'{", ".join(FORMAT_NAMES)}.'
        )
    raise ValueError(
        f'{path} is not a label file of a known format; name its format, '
        f'one of {", ".join(FORMAT_NAMES)}.'
    )


def detect_format(path: str | Path) -> str:
    """Return the name of the format of a label file or folder.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The format is unknown.
    """
    return find_format(Content(Path(path))).name


def read_label_file(
    path: str | Path | Content,
    options: ReadOptions | None = None,
    format: str = 'auto',
) -> LabelFile:
    """Read the rows of a label file of any format.

    Args:
        path: Path of the label file, or of the folder of label files.
        options: How it is to be read.
        format: Name of the format; 'auto' finds out.

    Raises:
        ValueError: The labels have a defect; the message names the file and
            the place.
        FileNotFoundError: There is no such file or folder.
    """
    options = options or ReadOptions()
    classes = split_background(options.classes or ())[0]
    if options.classes is not None:
        options = replace(options, classes=classes)
    content = path if isinstance(path, Content) else Content(Path(path))
    file = find_format(content, format).read(content, options)
    return clean_names(file, classes)


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
        format: Name of the format; 'auto' finds out.
        options: Further fields of :class:`ReadOptions`.

    Raises:
        ValueError: The labels have a defect; the message names the file and
            the place.
        FileNotFoundError: There is no such file or folder.
    """
    known = None if classes is None else tuple(classes)
    read = ReadOptions(classes=known, **options)
    return to_image_labels(read_label_file(path, read, format), known)


@functools.lru_cache(maxsize=8)
def _read_version(
    path: str, version: int, classes: tuple[str, ...]
) -> ImageLabels:
    file = read_label_file(path, ReadOptions(classes=classes))
    notes = ''.join(f'; {note}' for note in file.notes)
    print_log(f'{path}: read as {file.kind}{notes}.', logger='current')
    return to_image_labels(file, classes)


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
