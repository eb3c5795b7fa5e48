"""Which patches belong together, from features of their own."""

import torch
import torch.nn.functional as F
from torch import Tensor


def centred_similarity(
    features: Tensor, beta: float = 1.0, gamma: float = 3.0
) -> Tensor:
    """gamma * (cos - beta * mean(cos)), pairs of patches of one image.

    The mean is over all pairs of an image, not of a batch, so that no image
    depends on its neighbours.

    Args:
        features: (B, N, C).
        beta: How much of the mean is taken off.
        gamma: Sharpness.

    Returns:
        float32, (B, N, N).
    """
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=-1)
        cosine = unit @ unit.transpose(1, 2)
        return gamma * (cosine - beta * cosine.mean((1, 2), keepdim=True))


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
