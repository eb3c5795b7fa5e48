from .cam_metric import CAMMetric
from .iou import IoUWhereTruth
from .mask_store import MaskStore, sum_areas
from .pseudo_mask import PseudoMaskWriter
from .score_files import load_scores, save_scores
from .text_sets import PrecisionRecall, precision_recall
from .threshold_metrics import BackgroundIoU, LabelAgreement
from .threshold_sweep import (
    check_threshold,
    parse_thresholds,
    predict_at_thresholds,
)
from .tta import CAMTTAModel, RunningTTAModel

__all__ = [
    'BackgroundIoU',
    'CAMMetric',
    'CAMTTAModel',
    'IoUWhereTruth',
    'LabelAgreement',
    'MaskStore',
    'PrecisionRecall',
    'PseudoMaskWriter',
    'RunningTTAModel',
    'check_threshold',
    'load_scores',
    'parse_thresholds',
    'precision_recall',
    'predict_at_thresholds',
    'save_scores',
    'sum_areas',
]
