from .background_cache import BackgroundCache
from .background_lists import (
    BACKGROUND_LISTS,
    denied_words,
    resolve_backgrounds,
)
from .background_texts import BackgroundTexts
from .background_words import read_background_words
from .critic import RegionCritic
from .extractor import (
    ExtractionSettings,
    TextEncoder,
    extract_backgrounds,
)
from .head import CLIMSHead
from .image_views import cut_views, five_crops
from .regions import find_pairs, mask_regions, normalize_images
from .view_store import ImageViews, ViewStore, encode_views

__all__ = [
    'BACKGROUND_LISTS',
    'BackgroundCache',
    'BackgroundTexts',
    'CLIMSHead',
    'ExtractionSettings',
    'ImageViews',
    'RegionCritic',
    'TextEncoder',
    'ViewStore',
    'cut_views',
    'denied_words',
    'encode_views',
    'extract_backgrounds',
    'find_pairs',
    'five_crops',
    'mask_regions',
    'normalize_images',
    'read_background_words',
    'resolve_backgrounds',
]
