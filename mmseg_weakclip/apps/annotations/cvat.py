"""Masks as CVAT's XML, "CVAT for images 1.1".

The task has the labels already (``cvat_labels.json`` is for its "Raw" tab),
and the images are found by their names. The format has no place for scores.

Reference: https://docs.cvat.ai/docs/other/xml_format
"""

import json
from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.rle import encode_runs

from .coco import RegionOptions
from .polygons import outline
from .shapes import Shape, shapes_of
from .sources import MaskClasses, MaskSource


def cvat_image(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> str:
    """Return the ``<image>`` of a mask, without its id.

    Polygons have their holes joined to them by bridges. Masks
    (``options.segmentation`` is 'rle') are run lengths of the box, row by
    row, background first.

    Raises:
        ValueError: See :func:`shapes_of`.
    """
    image = shapes_of(source, classes, options)
    height, width = image.size
    element = Element(
        'image', name=image.file_name, width=str(width), height=str(height)
    )
    for shape in image.shapes:
        if options.segmentation == 'polygons':
            _add_polygons(element, shape)
        else:
            _add_mask(element, shape)
    return ElementTree.tostring(element, encoding='unicode')


def _add_polygons(image: Element, shape: Shape) -> None:
    for ring in outline(shape.region):
        points = ';'.join(f'{x},{y}' for x, y in ring.tolist())
        SubElement(
            image, 'polygon', _common(shape), points=points, z_order='0'
        )


def _add_mask(image: Element, shape: Shape) -> None:
    left, top, width, height = map(str, shape.region.bbox)
    runs = ', '.join(map(str, encode_runs(shape.region.pixels.T)))
    SubElement(
        image,
        'mask',
        _common(shape),
        rle=runs,
        left=left,
        top=top,
        width=width,
        height=height,
        z_order='0',
    )


def _common(shape: Shape) -> dict[str, str]:
    return dict(label=shape.label, source='auto', occluded='0')


def cvat_document(images: Iterable[str], classes: MaskClasses) -> str:
    """Return the whole XML.

    Args:
        images: ``<image>`` of each mask, see :func:`cvat_image`.
        classes: Classes of the masks.
    """
    meta = Element('meta')
    labels = SubElement(SubElement(meta, 'task'), 'labels')
    for label in _labels(classes):
        element = SubElement(labels, 'label')
        for key in ('name', 'color'):
            SubElement(element, key).text = label[key]
    numbered = (
        image.replace('<image ', f'<image id="{number}" ', 1)
        for number, image in enumerate(images)
    )
    return '\n'.join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<annotations>',
            '<version>1.1</version>',
            ElementTree.tostring(meta, encoding='unicode'),
            *numbered,
            '</annotations>\n',
        ]
    )


def cvat_labels(classes: MaskClasses) -> str:
    """Return the labels as JSON for the "Raw" tab of a task."""
    labels = [dict(label, attributes=[]) for label in _labels(classes)]
    return json.dumps(labels, ensure_ascii=False, indent=1) + '\n'


def _labels(classes: MaskClasses) -> list[dict[str, str]]:
    colors = label_colors(len(classes.names) + 1)[1:]
    return [
        dict(name=name, color='#{:02x}{:02x}{:02x}'.format(*color))
        for name, color in zip(classes.names, colors)
    ]
