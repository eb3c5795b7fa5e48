"""Masks as Label Studio's predictions, which annotators start from.

``tasks.json`` is imported as tasks, after ``labeling_config.xml`` has been
put into the project's settings.

Reference: https://labelstud.io/guide/predictions
"""

from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from mmseg_weakclip.common.masks import label_colors

from .brush_rle import encode_brush
from .coco import RegionOptions
from .polygons import outline
from .shapes import Shape, shapes_of
from .sources import MaskClasses, MaskSource

# Names of the controls, in the tasks and in the configuration.
IMAGE, LABEL = 'image', 'label'
TAGS = {'polygons': 'PolygonLabels', 'rle': 'BrushLabels'}
MODEL = 'weakclip'
# Decimals of percents: a hundredth of a pixel in images of 10,000.
DIGITS = 6


def label_studio_task(
    source: MaskSource,
    classes: MaskClasses,
    options: RegionOptions,
    image_url: str,
) -> dict[str, Any]:
    """Return the task of a mask, with one prediction.

    Scores are given where the run has stored maps of the classes.

    Args:
        source: Mask and its image.
        classes: Classes of the mask.
        options: How to cut it into objects; polygons or brushes ('rle').
        image_url: What stands in front of the image's file name.

    Raises:
        ValueError: See :func:`shapes_of`; or the image is too large.
    """
    image = shapes_of(source, classes, options)
    values = [
        (shape, value)
        for shape in image.shapes
        for value in _values(shape, image.size, options.segmentation)
    ]
    kind = TAGS[options.segmentation].lower()
    height, width = image.size
    result = [
        _with_score(
            dict(
                id=f'r{number}',
                type=kind,
                from_name=LABEL,
                to_name=IMAGE,
                original_width=width,
                original_height=height,
                image_rotation=0,
                value={**value, kind: [shape.label]},
            ),
            shape.score,
        )
        for number, (shape, value) in enumerate(values, 1)
    ]
    prediction = dict(model_version=MODEL, result=result)
    return dict(
        data={IMAGE: image_url + quote(image.file_name)},
        predictions=[_with_score(prediction, image.score)],
    )


def _with_score(item: dict[str, Any], score: float | None) -> dict[str, Any]:
    return item if score is None else dict(item, score=score)


def _values(
    shape: Shape, size: tuple[int, int], segmentation: str
) -> list[dict[str, Any]]:
    """Return the values of a shape: a brush, or a polygon for each ring."""
    height, width = size
    if segmentation == 'rle':
        mask = np.zeros(size, bool)
        shape.region.paste(mask, value=1)
        return [dict(format='rle', rle=encode_brush(mask))]
    rings = (ring * 100 / (width, height) for ring in outline(shape.region))
    return [
        dict(points=ring.round(DIGITS).tolist(), closed=True) for ring in rings
    ]


def labeling_config(classes: MaskClasses, segmentation: str) -> str:
    """Return the labelling configuration that the tasks fit.

    Args:
        classes: Classes of the masks.
        segmentation: 'polygons' or 'rle'.
    """
    view = Element('View')
    SubElement(view, 'Image', name=IMAGE, value=f'${IMAGE}', zoom='true')
    labels = SubElement(view, TAGS[segmentation], name=LABEL, toName=IMAGE)
    colors = label_colors(len(classes.names) + 1)[1:]
    for name, color in zip(classes.names, colors):
        background = '#{:02x}{:02x}{:02x}'.format(*color)
        SubElement(labels, 'Label', value=name, background=background)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding='unicode') + '\n'
