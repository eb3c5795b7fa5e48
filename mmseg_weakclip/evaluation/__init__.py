from .cam_metric import CAMMetric
from .iou import IoUWhereTruth
from .mask_store import MaskStore, sum_areas
from .pseudo_mask import PseudoMaskWriter
from .tta import RunningTTAModel

__all__ = [
    'CAMMetric',
    'IoUWhereTruth',
    'MaskStore',
    'PseudoMaskWriter',
    'RunningTTAModel',
    'sum_areas',
]
