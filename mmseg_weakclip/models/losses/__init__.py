"""Losses: algebra on logits, seeds and images."""

from .cam_seed import CAMSeedLoss, balanced_seed_loss, valid_seed_fraction
from .crf_boundary import CRFBoundaryLoss, clipped_kl
from .smoothing import smoothed_softmax

__all__ = [
    'CAMSeedLoss',
    'CRFBoundaryLoss',
    'balanced_seed_loss',
    'clipped_kl',
    'smoothed_softmax',
    'valid_seed_fraction',
]
