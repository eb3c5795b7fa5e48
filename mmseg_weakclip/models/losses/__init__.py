"""Losses: algebra on logits, seeds, images and similarities."""

from .activation_area import ActivationAreaLoss, activation_area
from .affinity_diversity import (
    AffinityDiversityLoss,
    affinity_diversity,
    near_pairs,
)
from .background_suppression import (
    BackgroundSuppressionLoss,
    background_suppression,
)
from .background_text import BackgroundTextLoss
from .balanced_ce import BalancedCELoss, balanced_cross_entropy
from .cam_seed import CAMSeedLoss, balanced_seed_loss, valid_seed_fraction
from .crf_boundary import CRFBoundaryLoss, clipped_kl
from .image_text_contrastive import (
    ImageTextContrastiveLoss,
    equal_text_targets,
)
from .negative_log import negative_log
from .object_text import ObjectTextLoss
from .region_nce import (
    InfoNCERegionLoss,
    image_contrast,
    pair_contrast,
    two_sided_contrast,
)
from .regions import RegionSimilarities
from .smoothing import smoothed_softmax
from .superpixel_kl import SuperpixelKLLoss, superpixel_mean

__all__ = [
    'ActivationAreaLoss',
    'AffinityDiversityLoss',
    'BackgroundSuppressionLoss',
    'BackgroundTextLoss',
    'BalancedCELoss',
    'CAMSeedLoss',
    'CRFBoundaryLoss',
    'ImageTextContrastiveLoss',
    'InfoNCERegionLoss',
    'ObjectTextLoss',
    'RegionSimilarities',
    'SuperpixelKLLoss',
    'activation_area',
    'affinity_diversity',
    'background_suppression',
    'balanced_cross_entropy',
    'balanced_seed_loss',
    'clipped_kl',
    'equal_text_targets',
    'image_contrast',
    'near_pairs',
    'negative_log',
    'pair_contrast',
    'smoothed_softmax',
    'superpixel_mean',
    'two_sided_contrast',
    'valid_seed_fraction',
]
