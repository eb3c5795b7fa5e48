from .cam_metric import CAMMetric
from .iou import IoUWhereTruth
from .mask_store import MaskStore, sum_areas
from .pseudo_mask import PseudoMaskWriter
from .score_files import load_scores, save_scores
from .text_sets import PrecisionRecall, precision_recall
from .tta import CAMTTAModel, RunningTTAModel

__all__ = [
    'CAMMetric',
    'CAMTTAModel',
    'IoUWhereTruth',
    'MaskStore',
    'PrecisionRecall',
    'PseudoMaskWriter',
    'RunningTTAModel',
    'load_scores',
    'precision_recall',
    'save_scores',
    'sum_areas',
]
