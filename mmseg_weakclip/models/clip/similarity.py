"""Similarities between the patches of an image, from their features."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Attention scores that are held at a time; 256 MiB in float32.
MOST_SCORES = 2**26
# On a CPU: 8 MiB, which its caches hold. Twice as fast as a whole batch.
MOST_CPU_SCORES = 2**21


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


def sum_attention(
    left: Tensor, right: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Return attention maps summed over heads.

    Images and heads are taken in parts, so that the scores need no more than
    MOST_SCORES numbers, or those of one head.

    Args:
        left: Scaled queries, (B, H, N, d).
        right: Keys, (B, H, N, d).
        bias: Added to the scores of every head, (N, N).

    Returns:
        float32, (B, N, N), rows that sum to H.
    """
    _, heads, tokens, _ = left.shape
    most = MOST_CPU_SCORES if left.device.type == 'cpu' else MOST_SCORES
    heads_at_once = max(1, most // tokens**2)
    images_at_once = max(1, most // (heads * tokens**2))
    maps = []
    for queries, keys in zip(
        left.split(images_at_once),
        right.transpose(-1, -2).split(images_at_once),
    ):
        total: Tensor | float = 0.0
        for first in range(0, heads, heads_at_once):
            some = slice(first, first + heads_at_once)
            scores = (queries[:, some] @ keys[:, some]).float()
            if bias is not None:
                scores = scores + bias
            total = total + scores.softmax(-1).sum(1)
        maps.append(total)
    return torch.cat(maps)


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
