"""Masks as COCO's instances and as its panoptic segments.

Ids are counted from 1: images by their name, annotations by image, class and
place, categories in the order of the classes. With a background, a category
has the id that its class has in the masks. Pixels of the background and
ignored ones (255) are in no annotation.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.rle import compress_runs, encode_runs

from .polygons import outline
from .regions import Region, connected_regions
from .sources import MaskClasses, MaskSource

SEGMENTATIONS = ('polygons', 'rle', 'compressed-rle')


@dataclass(frozen=True)
class RegionOptions:
    """Options of cutting a mask into regions.

    Attributes:
        unit: ``'component'``: one region per set of pixels that touch;
            ``'class'``: one region per class.
        min_area: Fewest pixels of a region; smaller ones are left out.
        segmentation: Format of the outlines, one of ``SEGMENTATIONS``.
    """

    unit: str = 'component'
    min_area: int = 1
    segmentation: str = 'polygons'


@dataclass(frozen=True)
class Annotated:
    """Annotations of one mask.

    Attributes:
        file_name: File name of the image.
        size: Height and width of the image.
        entries: COCO annotation of each region, without ids.
        picture: PNG of the panoptic segments; None for instances.
    """

    file_name: str
    size: tuple[int, int]
    entries: list[dict[str, Any]]
    picture: bytes | None = None

    def without_picture(self) -> 'Annotated':
        """Return a copy without the picture, to save memory."""
        return replace(self, picture=None)


def segmentation_of(
    region: Region, size: tuple[int, int], kind: str
) -> list[list[int]] | dict[str, Any]:
    """Return a region's ``segmentation`` field in COCO's format.

    Args:
        region: Region of the image.
        size: Height and width of the image.
        kind: ``'polygons'``: a list of rings (x1, y1, x2, y2, ...), holes
            joined by bridges, see ``join_holes``; ``'rle'``: run lengths as
            numbers; ``'compressed-rle'``: as text.
    """
    if kind == 'polygons':
        return [ring.ravel().tolist() for ring in outline(region)]
    mask = np.zeros(size, bool)
    region.paste(mask, value=1)
    runs = encode_runs(mask)
    counts = runs if kind == 'rle' else compress_runs(runs)
    return dict(size=list(size), counts=counts)


def annotate_instances(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> Annotated:
    """Return the regions of a mask as instances, without ids.

    Raises:
        ValueError: The mask is damaged, differs from its image in size, or
            has unknown ids.
    """
    mask = source.read(classes)
    entries = [
        dict(
            category_id=classes.index(region.class_id) + 1,
            segmentation=segmentation_of(
                region, mask.shape, options.segmentation
            ),
            area=region.area,
            bbox=region.bbox,
            iscrowd=0,
        )
        for region in connected_regions(
            mask, classes.ids, options.unit, options.min_area
        )
    ]
    return Annotated(source.image_name, mask.shape, entries)


def annotate_panoptic(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> Annotated:
    """Return a mask's regions as panoptic segments, with their PNG.

    A segment has the colour of its number in VOC's colour map, which
    differs for each, and the id R + 256 G + 65536 B. Id 0 is free.

    Raises:
        ValueError: The mask is damaged, differs from its image in size, or
            has unknown ids.
    """
    mask = source.read(classes)
    regions = list(
        connected_regions(mask, classes.ids, options.unit, options.min_area)
    )
    colors = np.array(label_colors(len(regions) + 1), np.uint8)
    picture = np.zeros((*mask.shape, 3), np.uint8)
    entries = []
    for region, color in zip(regions, colors[1:]):
        region.paste(picture, color)
        red, green, blue = color.tolist()
        entries.append(
            dict(
                id=red + 256 * green + 65536 * blue,
                category_id=classes.index(region.class_id) + 1,
                area=region.area,
                bbox=region.bbox,
                iscrowd=0,
            )
        )
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format='PNG')
    return Annotated(source.image_name, mask.shape, entries, buffer.getvalue())


def instances_file(
    annotated: Iterable[Annotated], classes: MaskClasses
) -> dict[str, Any]:
    """Return the content of COCO's instances file for a folder."""
    annotated = list(annotated)
    entries: list[dict[str, Any]] = []
    for image_id, image in enumerate(annotated, 1):
        for entry in image.entries:
            number = len(entries) + 1
            entries.append(dict(id=number, image_id=image_id, **entry))
    return dict(
        images=_images(annotated),
        annotations=entries,
        categories=[
            dict(id=number, name=name, supercategory='')
            for number, name in enumerate(classes.names, 1)
        ],
    )


def panoptic_file(
    annotated: Iterable[Annotated], classes: MaskClasses, unit: str
) -> dict[str, Any]:
    """Return the content of COCO's panoptic file for a folder.

    Categories are things if segments are components, stuff if they are
    whole classes.
    """
    annotated = list(annotated)
    colors = label_colors(len(classes.names) + 1)
    images = _images(annotated)
    return dict(
        images=images,
        annotations=[
            dict(
                image_id=entry['id'],
                file_name=picture_name(entry['file_name']),
                segments_info=image.entries,
            )
            for entry, image in zip(images, annotated)
        ],
        categories=[
            dict(
                id=number,
                name=name,
                supercategory='',
                isthing=int(unit == 'component'),
                color=colors[number],
            )
            for number, name in enumerate(classes.names, 1)
        ],
    )


def picture_name(image_name: str) -> str:
    """Return the file name of an image's panoptic segments."""
    return f'{image_name.rpartition(".")[0]}.png'


def _images(annotated: Sequence[Annotated]) -> list[dict[str, Any]]:
    return [
        dict(
            id=number,
            file_name=image.file_name,
            height=image.size[0],
            width=image.size[1],
        )
        for number, image in enumerate(annotated, 1)
    ]
