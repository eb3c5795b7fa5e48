"""Objects of a mask with their names and scores, for tools of annotators."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_weakclip.pseudo_masks.store import load_scores

from .coco import RegionOptions
from .regions import Region, connected_regions
from .sources import MaskClasses, MaskSource


@dataclass(frozen=True)
class Shape:
    """One object of an image.

    Attributes:
        label: Name of its class.
        region: Its pixels.
        score: Mean of the class's stored map over its pixels, 0 to 1; None
            if no maps are stored.
    """

    label: str
    region: Region
    score: float | None = None


@dataclass(frozen=True)
class ImageShapes:
    """Objects of an image.

    Attributes:
        file_name: File name of the image.
        size: Height and width of the image.
        shapes: Its objects, by class, then by place.
    """

    file_name: str
    size: tuple[int, int]
    shapes: tuple[Shape, ...]

    @property
    def score(self) -> float | None:
        """Mean score of all pixels of objects; None if one has none."""
        scored = [
            (shape.score, shape.region.area)
            for shape in self.shapes
            if shape.score is not None
        ]
        if not scored or len(scored) < len(self.shapes):
            return None
        total = sum(area for _, area in scored)
        return round(sum(s * area for s, area in scored) / total, 4)


def shapes_of(
    source: MaskSource, classes: MaskClasses, options: RegionOptions
) -> ImageShapes:
    """Return the objects of a mask.

    Raises:
        ValueError: The mask is damaged, differs from its image or its stored
            maps in size, or has unknown ids.
    """
    mask = source.read(classes)
    maps = _maps(source, mask.shape)
    shapes = [
        Shape(
            classes.names[classes.index(region.class_id)],
            region,
            _mean(maps.get(region.class_id), region),
        )
        for region in connected_regions(
            mask, classes.ids, options.unit, options.min_area
        )
    ]
    return ImageShapes(source.image_name, mask.shape, tuple(shapes))


def _maps(source: MaskSource, size: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the stored maps of a mask by the id of their class.

    Raises:
        ValueError: They have another size, or the file is damaged.
    """
    if source.scores is None:
        return {}
    maps, ids = load_scores(source.scores)
    if tuple(maps.shape[1:]) != tuple(size):
        raise ValueError(
            f'{source.scores} is of {tuple(maps.shape[1:])} pixels, '
            f'{source.mask} of {tuple(size)}'
        )
    return dict(zip(ids.tolist(), maps.numpy()))


def _mean(values: np.ndarray | None, region: Region) -> float | None:
    if values is None:
        return None
    height, width = region.pixels.shape
    box = values[
        region.top : region.top + height, region.left : region.left + width
    ]
    return round(float(box[region.pixels].mean()), 4)
