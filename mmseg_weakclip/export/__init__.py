"""Trained segmenters as files that run without mmseg."""

from .check import (
    SIZES,
    TOLERANCE,
    TRACED,
    Comparison,
    compare,
    random_images,
    reference_logits,
)
from .formats import (
    load_onnx,
    load_torchscript,
    require_onnx,
    to_onnx,
    to_torchscript,
)
from .loading import TrainedSegmentor, load_segmentor
from .segmenter import OUTPUTS, ExportError, ExportSegmenter
from .traceable import make_traceable

__all__ = [
    'OUTPUTS',
    'SIZES',
    'TOLERANCE',
    'TRACED',
    'Comparison',
    'ExportError',
    'ExportSegmenter',
    'TrainedSegmentor',
    'compare',
    'load_onnx',
    'load_segmentor',
    'load_torchscript',
    'make_traceable',
    'random_images',
    'reference_logits',
    'require_onnx',
    'to_onnx',
    'to_torchscript',
]
