"""Which patches belong together, from features of their own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def centred_similarity(
    features: Tensor,
    beta: float = 1.0,
    gamma: float = 3.0,
    mean: str = 'image',
) -> Tensor:
    """gamma * (cos - beta * mean(cos)), pairs of patches of one image.

    Args:
        features: (B, N, C).
        beta: How much of the mean is taken off.
        gamma: Sharpness.
        mean: Over all pairs of an ``'image'``, or, as in ExCEL's code, of a
            ``'batch'``, where each image depends on its neighbours.

    Returns:
        float32, (B, N, N).

    Raises:
        ValueError: ``mean`` is neither.
    """
    if mean not in ('image', 'batch'):
        raise ValueError(f"mean={mean!r} must be 'image' or 'batch'")
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=-1)
        cosine = unit @ unit.transpose(1, 2)
        over = (1, 2) if mean == 'image' else (0, 1, 2)
        return gamma * (cosine - beta * cosine.mean(over, keepdim=True))


def dot_similarity(features: Tensor) -> Tensor:
    """Products of the features of all pairs, (B, N, C) -> (B, N, N)."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        return features @ features.transpose(1, 2)


def positive_softmax(scores: Tensor) -> Tensor:
    """Softmax over each row's entries that are not negative.

    ProxyCLIP (ECCV 2024) and ExCEL (CVPR 2025) mask what is less alike than
    the average. A patch always keeps itself, or a row of negative scores
    would have nothing to sum over.

    Args:
        scores: (B, N, N).

    Returns:
        (B, N, N), rows that sum to one.
    """
    itself = torch.eye(
        scores.shape[-1], dtype=torch.bool, device=scores.device
    )
    hidden = (scores < 0) & ~itself
    return scores.masked_fill(hidden, -torch.inf).softmax(-1)
