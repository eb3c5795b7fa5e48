from .caption_stream import CaptionStreamHook
from .class_names import (
    ClassNamesHook,
    check_class_counts,
    set_class_names,
)
from .loss_check import CheckLossHook
from .optim import CPUAmpOptimWrapper, TrainableOptimWrapperConstructor
from .pseudo_masks import PseudoMaskHook
from .random_state import RandomStateHook
from .threshold_loop import ThresholdSweepLoop

__all__ = [
    'CPUAmpOptimWrapper',
    'CaptionStreamHook',
    'CheckLossHook',
    'ClassNamesHook',
    'PseudoMaskHook',
    'RandomStateHook',
    'ThresholdSweepLoop',
    'TrainableOptimWrapperConstructor',
    'check_class_counts',
    'set_class_names',
]
