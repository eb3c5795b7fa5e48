"""Masks as YOLO's segmentation labels."""

import json
from collections.abc import Mapping

from .coco import RegionOptions
from .polygons import outline
from .regions import connected_regions
from .sources import MaskClasses, MaskSource

# Of coordinates: a hundredth of a pixel in images of 10,000.
DIGITS = 6


def yolo_labels(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> str:
    """A line for each component: class from 0, then x and y of corners.

    Coordinates are shares of width and height. The format has one ring for
    an object: holes are joined to it by bridges, see ``join_holes``. An
    image without objects has no lines.

    Raises:
        ValueError: See ``MaskSource.read``.
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
    """The content of data.yaml.

    Args:
        classes: Their names.
        folders: Images of ``train`` and ``val``, below the file's folder.
    """
    # JSON's strings are YAML's, whatever characters are in them.
    lines = [f'{split}: {json.dumps(path)}' for split, path in folders.items()]
    lines.append('names:')
    lines += [
        f'  {index}: {json.dumps(name, ensure_ascii=False)}'
        for index, name in enumerate(classes.names)
    ]
    return '\n'.join(lines) + '\n'
