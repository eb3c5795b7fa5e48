"""Masks as YOLO's segmentation labels."""

import json
from collections.abc import Mapping

from .coco import RegionOptions
from .polygons import outline
from .regions import connected_regions
from .sources import MaskClasses, MaskSource

# Digits of coordinates: a hundredth of a pixel in images of 10,000.
DIGITS = 6


def yolo_labels(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> str:
    """Return a line for each component: class from 0, then corners x y.

    Coordinates are shares of width and height. The format has one ring for
    an object: holes are joined to it by bridges, see ``join_holes``. An
    image without objects has no lines.

    Raises:
        ValueError: The mask is damaged, differs from its image in size, or
            has unknown ids.
    """
    mask = source.read(classes)
    height, width = mask.shape
    lines = []
    for region in connected_regions(
        mask, classes.ids, 'component', options.min_area
    ):
        (ring,) = outline(region)
        numbers = (ring / (width, height)).ravel().tolist()
        text = ' '.join(f'{number:.{DIGITS}g}' for number in numbers)
        lines.append(f'{classes.index(region.class_id)} {text}\n')
    return ''.join(lines)


def yolo_description(classes: MaskClasses, folders: Mapping[str, str]) -> str:
    """Return the content of data.yaml.

    Args:
        classes: Class names of the masks.
        folders: Image folder of ``train`` and of ``val``, relative to the
            file.
    """
    # JSON strings are valid YAML, with any characters in them.
    lines = [f'{split}: {json.dumps(path)}' for split, path in folders.items()]
    lines.append('names:')
    lines += [
        f'  {index}: {json.dumps(name, ensure_ascii=False)}'
        for index, name in enumerate(classes.names)
    ]
    return '\n'.join(lines) + '\n'
