"""From activations to pseudo labels: pure functions on tensors."""

from .affinity import (
    random_walk,
    refine_by_affinity,
    select_layers,
    sinkhorn_affinity,
)
from .boxes import box_mask
from .cam import (
    background_score,
    cam_to_seed,
    gate_by_labels,
    normalize_cam,
    two_threshold_seed,
)
from .crf_params import CRF_PRESETS, CRFParams, resolve_crf_params
from .dense_crf import dense_crf, dense_crf_image
from .par import refine_by_pixels
from .permutohedral import PermutohedralLattice

__all__ = [
    'CRF_PRESETS',
    'CRFParams',
    'PermutohedralLattice',
    'background_score',
    'box_mask',
    'cam_to_seed',
    'dense_crf',
    'dense_crf_image',
    'gate_by_labels',
    'normalize_cam',
    'random_walk',
    'refine_by_affinity',
    'refine_by_pixels',
    'resolve_crf_params',
    'select_layers',
    'sinkhorn_affinity',
    'two_threshold_seed',
]
