"""Similarities between the patches of an image, from their features."""

import torch
import torch.nn.functional as F
from torch import Tensor


def centred_similarity(
    features: Tensor,
    beta: float = 1.0,
    gamma: float = 3.0,
    mean: str = 'image',
) -> Tensor:
    """Return gamma * (cos - beta * mean(cos)) of all pairs of patches.

    Args:
        features: Features of the patches, (B, N, C).
        beta: Factor of the mean that is subtracted.
        gamma: Sharpness, a factor of the result.
        mean: Pairs in the mean: those of an ``'image'`` or, as in ExCEL's
            code, of a ``'batch'``, where each image depends on the others.

    Returns:
        float32, (B, N, N).

    Raises:
        ValueError: ``mean`` has another value.
    """
    if mean not in ('image', 'batch'):
        raise ValueError(f"mean={mean!r} must be 'image' or 'batch'")
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=-1)
        cosine = unit @ unit.transpose(1, 2)
        over = (1, 2) if mean == 'image' else (0, 1, 2)
        return gamma * (cosine - beta * cosine.mean(over, keepdim=True))


def dot_similarity(features: Tensor) -> Tensor:
    """Return products of all pairs of features, (B, N, C) to (B, N, N)."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        return features @ features.transpose(1, 2)


def positive_softmax(scores: Tensor) -> Tensor:
    """Apply a softmax to each row's entries that are not negative.

    ProxyCLIP (ECCV 2024) and ExCEL (CVPR 2025) mask pairs that are less
    similar than the average. The pair of a patch with itself is never
    masked, so that no row is empty.

    Args:
        scores: Scores of pairs of patches, (B, N, N).

    Returns:
        (B, N, N), rows that sum to one.
    """
    itself = torch.eye(
        scores.shape[-1], dtype=torch.bool, device=scores.device
    )
    hidden = (scores < 0) & ~itself
    return scores.masked_fill(hidden, -torch.inf).softmax(-1)
