"""Pixel-adaptive refinement (PAR): average scores over similar pixels."""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DILATIONS = (1, 2, 4, 8, 12, 24)
# Against a division by zero where all neighbours have one colour.
EPS = 1e-8


def refine_by_pixels(
    images: Tensor,
    scores: Tensor,
    iterations: int = 20,
    dilations: Sequence[int] = DILATIONS,
    width: float = 0.3,
    position_weight: float = 0.01,
) -> Tensor:
    """Average scores over neighbours, weighted by similarity of colour.

    PAR of AFA (Ru et al., CVPR 2022)::

        color_n = softmax_n(mean over RGB of -(|I - I_n| / (s_I width))^2)
        place_n = softmax_n(-(r_n / (s_r width))^2)
        scores <- sum_n (color_n + position_weight * place_n) * scores_n
                  / (1 + position_weight)

    The taps n are the eight neighbours at each dilation, r_n their distance
    in pixels, and s the standard deviation over all taps (s_I for each pixel
    and channel). The borders of image and scores are repeated outwards.
    The division is ours: without it all scores grow by 1 % in each iteration,
    with it probabilities stay probabilities. The result does not change with
    an affine change of an image's channel.

    Args:
        images: Colours on any scale, (B, 3, H, W).
        scores: Class scores, (B, K, h, w), resized to the images first.
        iterations: Number of iterations; 20 in AFA, WeCLIP and ExCEL.
        dilations: Distances of the neighbours in pixels.
        width: Width of the Gaussians, in standard deviations.
        position_weight: Weight of the position term beside colour.

    Returns:
        float32, (B, K, H, W), without a graph.

    Raises:
        ValueError: The batch sizes differ, or a number is not allowed.
    """
    if len(images) != len(scores) or images.shape[1] != 3:
        raise ValueError(
            f'scores {tuple(scores.shape)} need as many images (B, 3, H, W), '
            f'got {tuple(images.shape)}'
        )
    if iterations < 0 or not dilations or min(dilations) < 1 or width <= 0:
        raise ValueError(
            f'iterations={iterations} must not be negative, dilations='
            f'{tuple(dilations)} must be 1 or more, width={width} above 0'
        )
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        size = images.shape[-2:]
        scores = scores.float()
        if scores.shape[-2:] != size:
            scores = F.interpolate(scores, size, mode='bilinear')
        weights = _weights(images.float(), dilations, width, position_weight)
        for _ in range(iterations):
            mixed = torch.zeros_like(scores)
            taps = _neighbours(scores, dilations)
            for tap, (neighbour, _) in enumerate(taps):
                mixed.addcmul_(neighbour, weights[:, tap, None])
            scores = mixed
        return scores


def par_bytes(
    num_points: int, num_classes: int, dilations: Sequence[int] = DILATIONS
) -> int:
    """Return the most memory of PAR for one image, in bytes.

    Three tables of a weight for each tap while they are normalised, then one
    and four maps of scores.

    Args:
        num_points: Number of pixels.
        num_classes: Number of classes K.
        dilations: Distances of the neighbours in pixels.
    """
    return num_points * (14 * 8 * len(dilations) + 18 * num_classes)


def _neighbours(
    x: Tensor, dilations: Sequence[int]
) -> Iterator[tuple[Tensor, float]]:
    """Yield views of (B, C, H, W) shifted to each tap, and its distance."""
    height, width = x.shape[-2:]
    reach = max(dilations)
    padded = F.pad(x, (reach,) * 4, mode='replicate')
    for dilation in dilations:
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if dy or dx:
                    top, left = reach + dy * dilation, reach + dx * dilation
                    yield (
                        padded[..., top : top + height, left : left + width],
                        dilation * math.hypot(dy, dx),
                    )


def _weights(
    images: Tensor,
    dilations: Sequence[int],
    width: float,
    position_weight: float,
) -> Tensor:
    """Return the weights of each pixel's T taps, (B, T, H, W)."""
    count = 8 * len(dilations)
    # Of differences, not of colours: sums of small numbers lose nothing.
    total, squares = torch.zeros_like(images), torch.zeros_like(images)
    for neighbour, _ in _neighbours(images, dilations):
        difference = neighbour - images
        total += difference
        squares.addcmul_(difference, difference)
    variance = (squares - total.square() / count) / (count - 1)
    scale = 1 / ((variance.clamp(min=0).sqrt() + EPS) * width)
    weights = images.new_empty(len(images), count, *images.shape[-2:])
    distances = []
    for tap, (neighbour, distance) in enumerate(
        _neighbours(images, dilations)
    ):
        difference = (neighbour - images) * scale
        weights[:, tap] = -difference.square().mean(1)
        distances.append(distance)
    radius = torch.tensor(distances, device=images.device)
    place = -((radius / ((radius.std() + EPS) * width)) ** 2)
    place = position_weight * place.softmax(0)
    weights = weights.softmax(1) + place[:, None, None]
    return weights / (1 + position_weight)
