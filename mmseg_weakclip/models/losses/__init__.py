"""Losses: algebra on logits, seeds and images."""

from .affinity_diversity import (
    AffinityDiversityLoss,
    affinity_diversity,
    near_pairs,
)
from .balanced_ce import BalancedCELoss, balanced_cross_entropy
from .cam_seed import CAMSeedLoss, balanced_seed_loss, valid_seed_fraction
from .crf_boundary import CRFBoundaryLoss, clipped_kl
from .smoothing import smoothed_softmax

__all__ = [
    'AffinityDiversityLoss',
    'BalancedCELoss',
    'CAMSeedLoss',
    'CRFBoundaryLoss',
    'affinity_diversity',
    'balanced_cross_entropy',
    'balanced_seed_loss',
    'clipped_kl',
    'near_pairs',
    'smoothed_softmax',
    'valid_seed_fraction',
]
