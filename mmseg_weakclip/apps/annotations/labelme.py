"""Masks as labelme's JSON, a file beside each image.

``labelme FOLDER --labels labels.txt`` opens them. The format has no place for
scores.

Reference: https://github.com/wkentaro/labelme
"""

from typing import Any

from .coco import RegionOptions
from .polygons import outline
from .shapes import shapes_of
from .sources import MaskClasses, MaskSource

VERSION = '5.5.0'


def labelme_file(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> dict[str, Any]:
    """Return the content of an image's file.

    The parts of a class (``options.unit`` is 'class') share a group; holes
    are joined to their polygon by bridges.

    Raises:
        ValueError: See :func:`shapes_of`.
    """
    image = shapes_of(source, classes, options)
    height, width = image.size
    shapes = []
    for number, shape in enumerate(image.shapes, 1):
        rings = outline(shape.region)
        group = number if len(rings) > 1 else None
        shapes += [
            dict(
                label=shape.label,
                points=ring.astype(float).tolist(),
                group_id=group,
                description='',
                shape_type='polygon',
                flags={},
                mask=None,
            )
            for ring in rings
        ]
    return dict(
        version=VERSION,
        flags={},
        shapes=shapes,
        imagePath=image.file_name,
        imageData=None,
        imageHeight=height,
        imageWidth=width,
    )
