from .critic import RegionCritic
from .head import CLIMSHead
from .regions import find_pairs, mask_regions, normalize_images

__all__ = [
    'CLIMSHead',
    'RegionCritic',
    'find_pairs',
    'mask_regions',
    'normalize_images',
]
