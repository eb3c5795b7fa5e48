"""Masks in a JSON file of COCO: polygons and run lengths, by category."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmseg_weakclip.apps.errors import count
from mmseg_weakclip.common.files import digest_file
from mmseg_weakclip.common.names import BACKGROUND, name_key
from mmseg_weakclip.common.polygons import fill_polygon
from mmseg_weakclip.common.rle import decode_runs, expand_runs
from mmseg_weakclip.datasets.labels.content import load_json
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.datasets.labels.readers.coco import KEYS, names_by_id
from mmseg_weakclip.datasets.labels.readers.values import (
    as_list,
    as_object,
    shown,
)

from .source import (
    OPEN,
    REST,
    OutsideMasks,
    Segment,
    Size,
    check_size,
    describe_unmatched,
    paint_segments,
)


@dataclass(frozen=True)
class CocoImage:
    """An image of the file.

    Attributes:
        name: Its file name.
        size: Height and width; None if the file does not say.
        objects: Its annotations, and the value of each.
    """

    name: str
    size: Size | None
    objects: tuple[tuple[dict[str, Any], int], ...]


@dataclass(frozen=True)
class CocoMasks(OutsideMasks):
    """Objects of a JSON file; crowds and boxes without a mask are open.

    Attributes:
        entries: Images of the file by path of the user's image.
    """

    entries: dict[str, CocoImage]

    title: ClassVar[str] = 'COCO JSON'
    draws_background: ClassVar[bool] = False

    @property
    def images(self) -> Collection[str]:
        """Paths of the images that the file lists."""
        return self.entries

    def digest(self) -> str:
        """Return a digest of the file."""
        return digest_file(self.path)

    def read(
        self, image: str, sizes: Sequence[Size], allowed: Collection[int]
    ) -> np.ndarray:
        """Return the mask of an image; see :class:`OutsideMasks`."""
        entry = self.entries[image]
        where = f'{self.path}: {entry.name}'
        size = entry.size or _stated_size(entry) or sizes[0]
        check_size(size, where, image, sizes)
        segments = []
        for item, value in entry.objects:
            place = f'{where}: annotation {shown(item.get("id"))}'
            pixels, corner = _decode(item, size, place)
            segments.append(Segment(pixels, value, item.get('score'), corner))
        return paint_segments(size, segments, allowed)


def open_coco(path: Path, images: Sequence[str]) -> CocoMasks:
    """Read a JSON file of COCO, and match its images.

    Args:
        path: File.
        images: Paths of all images.

    Raises:
        ValueError: The file has another structure, or lists none of the
            images.
    """
    data = load_json(path)
    missing = sorted(KEYS - set(data if isinstance(data, dict) else ()))
    if missing:
        raise ValueError(
            f'--seeds {path} is no COCO file of objects: it lacks '
            f'{", ".join(missing)}. A list of results alone names neither '
            'images nor classes: put it into the file that has these'
        )
    lists = {key: as_list(data[key], f'{path}: {key}') for key in KEYS}
    categories = names_by_id(lists['categories'], 'name', f'{path}: category')
    objects: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for number, item in enumerate(lists['annotations'], 1):
        item = as_object(item, f'{path}: annotation {number}')
        _check_object(item, categories, f'{path}: annotation {number}')
        objects[item['image_id']].append(item)
    used = {
        item['category_id'] for found in objects.values() for item in found
    }
    drawn = {i for i in used if name_key(categories[i]) == BACKGROUND}
    ids = [i for i in categories if i in used - drawn]
    values = {category: place for place, category in enumerate(ids, 1)}
    values.update(dict.fromkeys(drawn, REST))
    entries, unknown = _match_images(
        path, lists['images'], objects, values, ImageFinder(images)
    )
    names = tuple(categories[i] for i in ids)
    notes = (*_describe(objects, values), *describe_unmatched(unknown))
    return CocoMasks(path, names, notes, entries)


def _check_object(
    item: dict[str, Any], categories: Collection[Any], where: str
) -> None:
    """Check that an annotation has a mask or a box of a known category."""
    if 'segments_info' in item:
        raise ValueError(
            f'--seeds {where} is panoptic, with masks in other files; convert '
            'it to objects (instances)'
        )
    category = item.get('category_id')
    if not isinstance(category, (int, str)) or category not in categories:
        raise ValueError(
            f'--seeds {where} has the category {shown(category)}, which is '
            'not in the file'
        )
    if not isinstance(item.get('image_id'), (int, str)):
        raise ValueError(f'--seeds {where} names no image')
    if not _has_mask(item) and not item.get('bbox'):
        raise ValueError(f'--seeds {where} has neither a mask nor a box')


def _match_images(
    path: Path,
    listed: list[dict[str, Any]],
    objects: dict[Any, list[dict[str, Any]]],
    values: dict[Any, int],
    finder: ImageFinder,
) -> tuple[dict[str, CocoImage], list[str]]:
    """Return the images of the file by path, and names of no image."""
    names = names_by_id(listed, 'file_name', f'{path}: image')
    absent = sorted(map(str, set(objects) - set(names)))
    if absent:
        raise ValueError(
            f'--seeds {path}: annotations of image {absent[0]}, which is not '
            'in the file'
        )
    entries: dict[str, CocoImage] = {}
    unknown = []
    for item in listed:
        name = names[item['id']]
        image = finder.find(name, f'--seeds {path}')
        if image is None:
            unknown.append(name)
            continue
        if image in entries:
            raise ValueError(
                f'--seeds {path} lists {image} twice, as {name} and '
                f'{entries[image].name}'
            )
        height, width = item.get('height'), item.get('width')
        entries[image] = CocoImage(
            name,
            (int(height), int(width)) if height and width else None,
            tuple(
                (found, _value(found, values)) for found in objects[item['id']]
            ),
        )
    if not entries:
        raise ValueError(
            f'--seeds {path} lists none of the images; the first it names is '
            f'{unknown[0] if unknown else "missing"}'
        )
    return entries, unknown


def _has_mask(item: dict[str, Any]) -> bool:
    """Return whether an annotation has a mask: some tools write [[]]."""
    mask = item.get('segmentation')
    return any(mask) if isinstance(mask, list) else bool(mask)


def _value(item: dict[str, Any], values: dict[Any, int]) -> int:
    """Return the value of an object; OPEN where its mask is not exact."""
    if item.get('iscrowd') or not _has_mask(item):
        return OPEN
    return values[item['category_id']]


def _describe(
    objects: dict[Any, list[dict[str, Any]]], values: dict[Any, int]
) -> list[str]:
    """Return how the objects are read, a line each."""
    kinds: Counter[str] = Counter()
    scored: Counter[bool] = Counter()
    for found in objects.values():
        exact = [i for i in found if _value(i, values) != OPEN]
        kinds['crowd'] += sum(bool(item.get('iscrowd')) for item in found)
        kinds['open'] += len(found) - len(exact)
        kinds['rest'] += sum(_value(i, values) == REST for i in exact)
        if exact:
            scored[all(i.get('score') is not None for i in exact)] += 1
    orders = ['the smaller counts', 'that of the higher score counts']
    where = 'where objects overlap, '
    if scored[False] and scored[True]:
        lines = [
            f'{where}{orders[1]} in {count(scored[True], "image")} whose '
            f'objects all have a score, and {orders[0]} in {scored[False]}'
        ]
    else:
        lines = [where + orders[not scored[False]]]
    if kinds['crowd']:
        number = count(kinds['crowd'], 'crowd region')
        lines.append(f'{number} left unsure')
    boxes = kinds['open'] - kinds['crowd']
    if boxes:
        number = count(boxes, 'box', 'boxes')
        lines.append(f'{number} without a mask left unsure')
    if kinds['rest']:
        number = count(kinds['rest'], 'object')
        lines.append(f'{number} of the background read as no object')
    return lines


def _stated_size(entry: CocoImage) -> Size | None:
    """Return the size that the run lengths of an image state, if any."""
    for item, _ in entry.objects:
        mask = item.get('segmentation')
        if isinstance(mask, dict) and isinstance(mask.get('size'), list):
            height, width = mask['size']
            return int(height), int(width)
    return None


def _decode(
    item: dict[str, Any], size: Size, where: str
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels of an annotation, and the corner of their box.

    Args:
        item: Annotation.
        size: Height and width of its image.
        where: File, image and annotation, for messages.

    Raises:
        ValueError: Its mask is damaged, or of another size.
    """
    try:
        mask: Any = (
            item['segmentation']
            if _has_mask(item)
            else [_outline(item['bbox'])]
        )
        if isinstance(mask, dict):
            return _crop(_decode_runs(mask, size))
        pixels = np.zeros(size, bool)
        rings = mask if isinstance(mask[0], list) else [mask]
        for ring in filter(None, rings):
            corners = np.asarray(ring, np.float64).reshape(-1, 2)
            part, (top, left) = fill_polygon(corners, size)
            height, width = part.shape
            pixels[top : top + height, left : left + width] |= part
        return _crop(pixels)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{where} is damaged: {error}') from error


def _outline(box: Sequence[float]) -> list[float]:
    """Return the polygon of a box of left, top, width and height."""
    left, top, width, height = map(float, box)
    right, bottom = left + width, top + height
    return [left, top, right, top, right, bottom, left, bottom]


def _crop(pixels: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the box of the pixels that are set, and its corner."""
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    if not len(rows):
        return pixels[:0, :0], (0, 0)
    top, left = int(rows[0]), int(columns[0])
    box = pixels[top : rows[-1] + 1, left : columns[-1] + 1]
    return box.copy(), (top, left)


def _decode_runs(mask: dict[str, Any], size: Size) -> np.ndarray:
    counts = mask['counts']
    height, width = mask['size']
    if (height, width) != tuple(size):
        raise ValueError(
            f'run lengths of {height} x {width}, its image has '
            f'{size[0]} x {size[1]}'
        )
    runs = expand_runs(counts) if isinstance(counts, str) else counts
    return decode_runs(runs, size)
