"""Readers of image labels from boxes, instances and masks."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mmseg_weakclip.common.masks import read_mask
from mmseg_weakclip.common.names import (
    BACKGROUND,
    COCO_NAMES,
    split_background,
)
from mmseg_weakclip.datasets.masks.coco_encoding import (
    ENCODINGS,
    MaskIds,
    detect_coco_encoding,
)

from .image_labels import ImageLabels, LabelCollector
from .texts import Track, listed_files, load_json, require_classes


def read_voc_xml(
    folder: str | Path,
    classes: Sequence[str] | None = None,
    *,
    difficult: bool = True,
    ids: Sequence[str] | None = None,
    track: Track = iter,
) -> ImageLabels:
    """Read labels from PASCAL VOC's boxes, ``Annotations/<id>.xml``.

    Args:
        folder: Folder of the XML files.
        classes: Class names; required.
        difficult: Whether objects marked as difficult count.
        ids: Ids of the images to read; None reads all files.
        track: Wraps the list of files, e.g. to show progress.

    Raises:
        ValueError: A file is damaged, or names unknown classes.
        FileNotFoundError: Files are missing.
    """
    collector = LabelCollector(folder, require_classes(folder, classes))
    for file in track(listed_files(folder, '.xml', ids)):
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise ValueError(f'{file} is not valid XML: {error}.') from error
        # Only the root's own objects: people have parts with names (head,
        # hand, foot) that are not classes.
        names = [
            (item.findtext('name') or '').strip()
            for item in root.findall('object')
            if difficult or (item.findtext('difficult') or '0').strip() != '1'
        ]
        collector.add(
            file.stem,
            [collector.find(name, file.stem, file.name) for name in names],
        )
    return collector.result()


def parse_coco_instances(
    data: dict[str, Any],
    path: str | Path,
    classes: Sequence[str] | None = None,
    *,
    crowd: bool = True,
) -> ImageLabels:
    """Read labels from the content of COCO's ``instances_*.json``.

    Args:
        data: Parsed content of the file.
        path: Path of the file, for messages.
        classes: Class names; None takes the file's own, in order of their
            ids.
        crowd: Whether crowd regions count as showing their class.

    Raises:
        ValueError: The file has another structure, or unknown classes.
    """
    try:
        names = {c['id']: c['name'] for c in data['categories']}
        images = {i['id']: i['file_name'] for i in data['images']}
        pairs = [
            (a['image_id'], a['category_id'])
            for a in data['annotations']
            if crowd or not a.get('iscrowd', 0)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not a COCO instances file: {error!r}.'
        ) from error
    collector = LabelCollector(
        path, [names[i] for i in sorted(names)] if classes is None else classes
    )
    shown: dict[Any, set[str]] = defaultdict(set)
    for image, category in pairs:
        if image not in images or category not in names:
            raise ValueError(
                f'{path}: an annotation of image {image}, category '
                f'{category} has no such image or category in the file.'
            )
        shown[image].add(names[category])
    for image, file_name in images.items():
        collector.add(
            file_name,
            [collector.find(name, file_name) for name in shown[image]],
        )
    return collector.result()


def read_coco_json(
    path: str | Path,
    classes: Sequence[str] | None = None,
    *,
    crowd: bool = True,
) -> ImageLabels:
    """Read labels from a COCO file; see :func:`parse_coco_instances`."""
    return parse_coco_instances(load_json(path), path, classes, crowd=crowd)


def read_mask_labels(
    folder: str | Path,
    classes: Sequence[str] | None = None,
    *,
    min_pixels: int = 1,
    ignore_index: int = 255,
    ids: Sequence[str] | None = None,
    track: Track = iter,
) -> ImageLabels:
    """Read labels from index masks, ``<id>.png``.

    Id 0 is the background, 1 the first class. COCO masks are read in either
    encoding, see :mod:`coco_encoding`.

    Args:
        folder: Folder of the masks.
        classes: Class names; required.
        min_pixels: Smallest area of a class that counts, in pixels.
        ignore_index: Id of pixels that count for no class.
        ids: Ids of the images to read; None reads all files.
        track: Wraps the list of files, e.g. to show progress.

    Raises:
        ValueError: A mask is damaged, or has an id of no class.
        FileNotFoundError: Files are missing.
    """
    foreground, _ = split_background(require_classes(folder, classes))
    shown: dict[Path, list[int]] = {}
    found: list[MaskIds] = []
    for file in track(listed_files(folder, '.png', ids)):
        values, areas = np.unique(read_mask(str(file)), return_counts=True)
        valid = values != ignore_index
        found.append(MaskIds(str(file), frozenset(values[valid].tolist())))
        shown[file] = values[valid & (areas >= min_pixels)].tolist()
    names = dict(enumerate((BACKGROUND, *foreground)))
    if foreground == COCO_NAMES:
        names = dict(ENCODINGS[detect_coco_encoding(found)])
    collector = LabelCollector(folder, foreground)
    for file, mask_ids in shown.items():
        unknown = [i for i in mask_ids if i not in names]
        if unknown:
            raise ValueError(
                f'The mask {file} has ids {unknown}; the {len(foreground)} '
                f'classes have 1 to {len(foreground)}, ignored pixels '
                f'{ignore_index}.'
            )
        collector.add(
            file.stem,
            [
                collector.find(names[i], file.stem)
                for i in mask_ids
                if names[i] != BACKGROUND
            ],
        )
    return collector.result()
