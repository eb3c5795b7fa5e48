"""From regions to pixels: whose word a region is, and where it lies."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def region_scores(
    regions: Tensor,
    image: Tensor,
    text: Tensor,
    scale: float | Tensor,
    topk: int | None,
) -> Tensor:
    """How sure each region is of each text (SegCLIP, section on inference).

    The product of two softmaxes over the texts: over all of them, and over
    the ``topk`` that the whole image goes best with.

    Args:
        regions: (B, G, E), of any length.
        image: (B, E), of any length.
        text: (M, E), unit length.
        scale: What cosines are multiplied by.
        topk: None has no second softmax.

    Returns:
        Probabilities, (B, G, M).
    """
    logits = scale * F.normalize(regions, dim=-1) @ text.T
    scores = logits.softmax(-1)
    if topk is None:
        return scores
    whole = F.normalize(image, dim=-1) @ text.T
    best = whole.topk(min(topk, len(text)), dim=-1).indices
    # Not of bools, which a trace can't scatter.
    allowed = torch.zeros_like(whole).scatter(1, best, 1.0) > 0
    prior = logits.masked_fill(~allowed[:, None], -torch.inf).softmax(-1)
    return scores * prior


def region_map(
    soft: Tensor, grid: tuple[int, int], size: Sequence[int]
) -> Tensor:
    """Which region each pixel is in, (B, H, W).

    Args:
        soft: Shares of the patches, (B, G, h * w).
        grid: (h, w).
        size: (H, W) of the image.
    """
    shares = soft.unflatten(2, grid)
    shares = F.interpolate(
        shares, tuple(size), mode='bilinear', align_corners=False
    )
    return shares.argmax(1)


def paint_regions(scores: Tensor, regions: Tensor) -> Tensor:
    """Give each pixel the scores of its region.

    Args:
        scores: (B, G, M).
        regions: Region of each pixel, (B, H, W).

    Returns:
        (B, M, H, W).
    """
    pixels = regions.flatten(1)[:, None].expand(-1, scores.shape[2], -1)
    painted = scores.mT.gather(2, pixels)
    return painted.unflatten(2, regions.shape[1:])


def unsure_pixels(painted: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Pixels whose best score does not reach the threshold.

    Where no region of an image does, the bar is the best score there is: its
    surest region is never background.

    Args:
        painted: Scores of the pixels, (B, M, H, W).
        scores: Scores of the regions, (B, G, M).
        threshold: In [0, 1].

    Returns:
        (B, H, W), bool.
    """
    bar = scores.flatten(1).amax(1).clamp(max=threshold)
    return painted.amax(1) < bar[:, None, None]
