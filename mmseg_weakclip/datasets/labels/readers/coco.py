"""COCO's ``instances_*.json``."""

from collections import defaultdict
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

KEYS = {'images', 'annotations', 'categories'}


def matches(content: Content) -> bool:
    """Return whether a JSON file has COCO's three lists."""
    if content.suffix != '.json':
        return False
    return isinstance(content.json, dict) and set(content.json) >= KEYS


def read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the instances.

    Raises:
        ValueError: The file has another structure.
    """
    path, data = content.path, content.json
    try:
        names = {c['id']: c['name'] for c in data['categories']}
        images = {i['id']: i['file_name'] for i in data['images']}
        pairs = [
            (a['image_id'], a['category_id'])
            for a in data['annotations']
            if options.crowd or not a.get('iscrowd', 0)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not a COCO instances file: {error!r}.'
        ) from error
    shown: dict[Any, dict[str, None]] = defaultdict(dict)
    for image, category in pairs:
        if image not in images or category not in names:
            raise ValueError(
                f'{path}: an annotation of image {image}, category '
                f'{category} has no such image or category in the file.'
            )
        shown[image][names[category]] = None
    rows = [
        LabelRow('', file_name, tuple(shown.get(image, ())))
        for image, file_name in images.items()
    ]
    classes = tuple(dict.fromkeys(names[i] for i in sorted(names)))
    return LabelFile(str(path), FORMAT.title, tuple(rows), classes)


FORMAT = LabelFormat('coco-json', 'COCO JSON', matches, read)
