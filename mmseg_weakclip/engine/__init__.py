from .caption_stream import CaptionStreamHook
from .channels_last import ChannelsLastHook
from .class_names import ClassNamesHook, check_class_counts, name_classes
from .loss_check import CheckLossHook
from .optim import CPUAmpOptimWrapper, TrainableOptimWrapperConstructor
from .pseudo_masks import PseudoMaskHook
from .random_state import RandomStateHook
from .threshold_loop import ThresholdSweepLoop
from .whole_files import WholeFileBackend, find_whole_checkpoint

__all__ = [
    'CPUAmpOptimWrapper',
    'CaptionStreamHook',
    'ChannelsLastHook',
    'CheckLossHook',
    'ClassNamesHook',
    'PseudoMaskHook',
    'RandomStateHook',
    'ThresholdSweepLoop',
    'TrainableOptimWrapperConstructor',
    'WholeFileBackend',
    'check_class_counts',
    'find_whole_checkpoint',
    'name_classes',
]
