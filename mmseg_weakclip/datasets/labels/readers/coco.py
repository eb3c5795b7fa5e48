"""COCO's JSON: instances, panoptic segments, and what tools export as COCO."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .values import as_list, as_name, as_object, shown

KEYS = {'images', 'annotations', 'categories'}


def _matches(content: Content) -> bool:
    """Return whether a JSON file has COCO's three lists."""
    if content.suffix != '.json':
        return False
    return isinstance(content.json, dict) and set(content.json) >= KEYS


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the classes of the instances, or of the panoptic segments.

    Raises:
        ValueError: The file has another structure, an id is there twice, or
            names nothing.
    """
    path, data = content.path, content.json
    missing = sorted(KEYS - set(data if isinstance(data, dict) else ()))
    if missing:
        raise ValueError(
            f'{path} is not a COCO instances file: it lacks '
            f'{", ".join(missing)}.'
        )
    lists = {key: as_list(data[key], f'{path}: {key}') for key in KEYS}
    names = names_by_id(lists['categories'], 'name', f'{path}: category')
    images = names_by_id(lists['images'], 'file_name', f'{path}: image')
    shown_by: dict[Any, dict[str, None]] = defaultdict(dict)
    used: set[Any] = set()
    crowds = 0
    for number, item in enumerate(lists['annotations'], 1):
        item = as_object(item, f'{path}: annotation {number}')
        for image, category, crowd in _pairs(item, f'{path}: annotation'):
            if crowd and not options.crowd:
                crowds += 1
                continue
            if image not in images or category not in names:
                raise ValueError(
                    f'{path}: an annotation of image {image}, category '
                    f'{category} has no such image or category in the file.'
                )
            used.add(category)
            shown_by[image][names[category]] = None
    rows = [
        LabelRow('', file_name, tuple(shown_by.get(image, ())))
        for image, file_name in images.items()
    ]
    notes = [f'{crowds} crowd regions left out'] if crowds else []
    root = _root_category(lists['categories'], used)
    if root is not None:
        notes.append(
            f'no class: {names[root]!r}, which is over all others and has no '
            'annotation'
        )
    classes = dict.fromkeys(
        names[i] for i in sorted(names, key=_order) if i != root
    )
    return LabelFile(
        str(path), FORMAT.title, tuple(rows), tuple(classes), tuple(notes)
    )


def names_by_id(items: list[Any], key: str, where: str) -> dict[Any, str]:
    """Return the names of categories or images by their ids.

    Args:
        items: Objects of the file.
        key: Key of the name.
        where: File and list, for messages.

    Raises:
        ValueError: An object lacks an id or a name, or an id is there twice
            with two names.
    """
    found: dict[Any, str] = {}
    for item in items:
        item = as_object(item, where)
        item_id = item.get('id')
        if not isinstance(item_id, (int, str)):
            raise ValueError(f'{where} has the id {shown(item_id)}')
        name = as_name(item.get(key), f'{where} {item_id}: {key}')
        if found.setdefault(item_id, name) != name:
            raise ValueError(
                f'{where} {item_id} is there twice, as {found[item_id]!r} and '
                f'as {name!r}'
            )
    return found


def _order(item_id: int | str) -> tuple[int, int, str]:
    if isinstance(item_id, int):
        return 0, item_id, ''
    return 1, 0, item_id


def _pairs(
    item: dict[str, Any], where: str
) -> Iterator[tuple[Any, Any, bool]]:
    """Yield image, category and crowd flag of an annotation.

    Raises:
        ValueError: It lacks them.
    """
    segments = item.get('segments_info')
    parts = [item] if segments is None else as_list(segments, where)
    for part in parts:
        part = as_object(part, where)
        image, category = item.get('image_id'), part.get('category_id')
        for value in (image, category):
            if not isinstance(value, (int, str)):
                raise ValueError(
                    f'{where} {item.get("id")} has the image {shown(image)} '
                    f'and the category {shown(category)}; is it not a COCO '
                    'instances file?'
                )
        yield image, category, bool(part.get('iscrowd', 0))


def _root_category(categories: list[Any], used: set[Any]) -> Any:
    """Return the id of a category that is over all others; None without one.

    Roboflow puts the name of the project there.
    """
    if len(categories) < 2:
        return None
    for category in categories:
        others = [c for c in categories if c['id'] != category['id']]
        if category['id'] not in used and all(
            other.get('supercategory') == category['name'] for other in others
        ):
            return category['id']
    return None


FORMAT = LabelFormat('coco-json', 'COCO JSON', _matches, _read)
