"""Our own JSON: ``{"classes": [...], "labels": {id: [name, ...]}}``."""

from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
    require_classes,
)
from mmseg_weakclip.datasets.labels.image_labels import LabelCollector
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .values import shown

KNOWN = (
    'Other JSON that is read: COCO, Label Studio, labelme, FiftyOne, VIA, '
    'lists of records.'
)


def _matches(content: Content) -> bool:
    """Return whether a file is JSON; other formats of it are tried before."""
    return content.suffix == '.json'


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read our JSON, or the object of its ``labels`` alone.

    Items are class names, or 0-based ids of foreground classes.

    Raises:
        ValueError: A class id is unknown, or the file has another structure.
    """
    path, data = content.path, content.json
    if not isinstance(data, dict):
        raise ValueError(
            f'{path} holds a {type(data).__name__}, not an object whose keys '
            f'are image ids. {KNOWN}'
        )
    own = None
    if set(data) == {'classes', 'labels'}:
        own, data = data['classes'], data['labels']
        if not isinstance(own, list) or not isinstance(data, dict):
            raise ValueError(
                f"{path}: 'classes' must be a list and 'labels' an object."
            )
    index = None if own is None else LabelCollector(path, own)
    rows = []
    for image_id, items in data.items():
        if not isinstance(items, list):
            raise ValueError(
                f'{path}: the labels of image {image_id!r} are '
                f'{shown(items)}, not a list. {KNOWN}'
            )
        names = _names(content, image_id, items, own, options)
        if index is not None:
            for name in names:
                index.find(name, image_id)
        rows.append(LabelRow('', image_id, names))
    if index is not None:
        index.check()
    classes = None if own is None else tuple(own)
    return LabelFile(str(path), FORMAT.title, tuple(rows), classes)


def _names(
    content: Content,
    image_id: str,
    items: list[Any],
    own: list[str] | None,
    options: ReadOptions,
) -> tuple[str, ...]:
    path = content.path
    kinds = {type(item) for item in items}
    if kinds <= {str}:
        return tuple(items)
    if kinds == {int} and len(set(items)) == len(items):
        classes = require_classes(path, own or options.classes)
        collector = LabelCollector(path, classes)
        if len(items) == len(collector.classes) and set(items) <= {0, 1}:
            raise ValueError(
                f'{path}: the labels of image {image_id!r} are {items!r}, '
                'which may be class ids, or 0 and 1 for each of the '
                f'{len(items)} classes; write class names.'
            )
        return tuple(
            collector.classes[collector.check_index(i, image_id)]
            for i in items
        )
    raise ValueError(
        f'{path}: the labels of image {image_id!r} are {items!r}; they must '
        'be class names, or different 0-based class ids (not a multi-hot '
        'list).'
    )


FORMAT = LabelFormat('json', 'JSON, image to class names', _matches, _read)
