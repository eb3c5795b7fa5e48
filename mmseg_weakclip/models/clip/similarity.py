"""Similarities between the patches of an image, from their features."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

# Attention scores that are held at a time; 256 MiB in float32.
MOST_SCORES = 2**26
# On a CPU: 8 MiB, which its caches hold. Twice as fast as a whole batch.
MOST_CPU_SCORES = 2**21
# Region of tokens that see everything, such as the class token.
UNBOUND = -2


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


def centred_rows(
    rows: Tensor, everything: Tensor, beta: float = 1.0, gamma: float = 3.0
) -> Tensor:
    """Return rows of :func:`centred_similarity`.

    Args:
        rows: Features of some patches, (B, n, C).
        everything: Features of all patches of the images, (B, M, C), over
            whose pairs the mean is taken.
        beta: Factor of the mean that is subtracted.
        gamma: Sharpness, a factor of the result.

    Returns:
        float32, (B, n, M).
    """
    with torch.autocast(rows.device.type, enabled=False):
        unit = F.normalize(everything.float(), dim=-1)
        cosine = F.normalize(rows.float(), dim=-1) @ unit.transpose(1, 2)
        # The mean of all products is the product of the means.
        mean = unit.mean(1).square().sum(-1)[:, None, None]
        return gamma * (cosine - beta * mean)


def dot_similarity(features: Tensor) -> Tensor:
    """Return products of all pairs of features, (B, N, C) to (B, N, N)."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        return features @ features.transpose(1, 2)


def sum_attention(
    left: Tensor,
    right: Tensor,
    bias: Tensor | None = None,
    scope: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return attention maps summed over heads.

    Images and heads are taken in parts, so that the scores need no more than
    MOST_SCORES numbers, or those of one head.

    Args:
        left: Scaled queries, (B, H, n, d).
        right: Keys, (B, H, N, d).
        bias: Added to the scores of every head, (n, N).
        scope: Regions of queries (B, n) and keys (B, N), see
            :func:`restrict_to_regions`; None restricts nothing.

    Returns:
        float32, (B, n, N), rows that sum to H.
    """
    batch, heads, tokens, _ = left.shape
    most = MOST_CPU_SCORES if left.device.type == 'cpu' else MOST_SCORES
    pairs = tokens * right.shape[2]
    heads_at_once = max(1, most // pairs)
    images_at_once = max(1, most // (heads * pairs))
    maps = []
    for start in range(0, batch, images_at_once):
        images = slice(start, start + images_at_once)
        queries = left[images]
        keys = right[images].transpose(-1, -2)
        total: Tensor | float = 0.0
        for first in range(0, heads, heads_at_once):
            some = slice(first, first + heads_at_once)
            scores = (queries[:, some] @ keys[:, some]).float()
            if bias is not None:
                scores = scores + bias
            if scope is not None:
                scores = restrict_to_regions(
                    scores, scope[0][images, None], scope[1][images, None]
                )
            total = total + scores.softmax(-1).sum(1)
        maps.append(total)
    return torch.cat(maps)


def restrict_to_regions(
    scores: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """Let tokens see those of their own region only (CorrCLIP).

    Args:
        scores: Scores of pairs of tokens, (..., n, M); -inf is never seen.
        rows: Region of each row, (..., n): -1 for none, whose row sees what
            is not below the mean of its scores; ``UNBOUND`` sees everything.
        columns: Region of each column, (..., M).

    Returns:
        (..., n, M), -inf where a row does not see.
    """
    finite = scores.isfinite()
    total = scores.masked_fill(~finite, 0).sum(-1, keepdim=True)
    mean = total / finite.sum(-1, keepdim=True).clamp(min=1)
    # Rounding must not lift the mean above all of them.
    above = scores >= mean.minimum(scores.amax(-1, keepdim=True))
    regions = rows[..., None]
    seen = regions == columns[..., None, :]
    seen = torch.where(regions == -1, above, seen | (regions == UNBOUND))
    return scores.masked_fill(~seen, -torch.inf)


def positive_softmax(scores: Tensor, first: int = 0) -> Tensor:
    """Apply a softmax to each row's entries that are not negative.

    ProxyCLIP (ECCV 2024) and ExCEL (CVPR 2025) mask pairs that are less
    similar than the average. The pair of a patch with itself is never
    masked, so that no row is empty.

    Args:
        scores: Scores of pairs of patches, (B, n, N).
        first: Column of the first row's pair with itself.

    Returns:
        (B, n, N), rows that sum to one.
    """
    rows, columns = (
        torch.arange(count, device=scores.device)
        for count in scores.shape[-2:]
    )
    itself = columns == first + rows[:, None]
    hidden = (scores < 0) & ~itself
    return scores.masked_fill(hidden, -torch.inf).softmax(-1)


def row_parts(value: Tensor, windows: int) -> Iterator[slice]:
    """Yield some rows at a time, so that their scores fit in memory.

    One row at the least, B * H * N numbers. One window is not split.

    Args:
        value: Values of the tokens of all windows, (B, H, N, d).
        windows: Number of windows.
    """
    batch, heads, tokens, _ = value.shape
    if windows == 1:
        yield slice(0, tokens)
        return
    most = MOST_CPU_SCORES if value.device.type == 'cpu' else MOST_SCORES
    step = max(1, most // (batch * heads * tokens))
    for start in range(0, tokens, step):
        yield slice(start, min(start + step, tokens))
