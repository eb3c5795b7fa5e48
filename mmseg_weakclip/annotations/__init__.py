"""Masks in the formats of other tools."""

from .coco import (
    SEGMENTATIONS,
    Annotated,
    RegionOptions,
    annotate_instances,
    annotate_panoptic,
    instances_file,
    panoptic_file,
    picture_name,
    segmentation_of,
)
from .polygons import join_holes, outline
from .regions import UNITS, Region, find_regions
from .rle import compress_runs, decode_runs, decompress_runs, encode_runs
from .sources import MaskClasses, MaskSource, find_sources
from .yolo import yolo_description, yolo_labels

__all__ = [
    'SEGMENTATIONS',
    'UNITS',
    'Annotated',
    'MaskClasses',
    'MaskSource',
    'Region',
    'RegionOptions',
    'annotate_instances',
    'annotate_panoptic',
    'compress_runs',
    'decode_runs',
    'decompress_runs',
    'encode_runs',
    'find_regions',
    'find_sources',
    'instances_file',
    'join_holes',
    'outline',
    'panoptic_file',
    'picture_name',
    'segmentation_of',
    'yolo_description',
    'yolo_labels',
]
