"""SegCLIP: groups of patches with learnable centres, from captions."""

from .assignment import assign, straight_through
from .captions import CaptionEncoder
from .grouping import SemanticGroup, SemanticGroupNeck, mean_values
from .head import RegionTextHead
from .masking import count_visible, random_order, take_patches
from .patch_decoder import PatchDecoder, sincos_position
from .pixels import cut_pixels, normalize_patches
from .reconstruction import MaskedReconstructionHead, RegionMixer
from .scores import paint_regions, region_map, region_scores, unsure_pixels
from .superpixels import pool_superpixels

__all__ = [
    'CaptionEncoder',
    'MaskedReconstructionHead',
    'PatchDecoder',
    'RegionMixer',
    'RegionTextHead',
    'SemanticGroup',
    'SemanticGroupNeck',
    'assign',
    'count_visible',
    'cut_pixels',
    'mean_values',
    'normalize_patches',
    'paint_regions',
    'pool_superpixels',
    'random_order',
    'region_map',
    'region_scores',
    'sincos_position',
    'straight_through',
    'take_patches',
    'unsure_pixels',
]
