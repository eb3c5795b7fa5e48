"""Spread class maps over positions whose features are alike.

The pixel correlation of SEAM (Wang et al., CVPR 2020, the PCM module): a map
is averaged over the image with the similarity of features as weights, so that
it covers what looks like its telling part. Here the features are a backbone's
own, without the embedding that SEAM trains for it with a second branch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers of similarities at once, 256 MiB.
NUMBERS_AT_ONCE = 2**26
# Of a row's sum; the similarity of a position with itself is 1.
EPS = 1e-12


def pick_levels(
    features: Sequence[Tensor], levels: Sequence[int], user: str
) -> list[Tensor]:
    """Return some of the features that a head gets.

    Args:
        features: Maps, (B, C_l, h_l, w_l).
        levels: Indices of those that are wanted; negative ones count from
            the last.
        user: Option that names the levels, for the message.

    Raises:
        ValueError: There is no such level.
    """
    count = len(features)
    if not all(-count <= level < count for level in levels):
        raise ValueError(
            f'{user} has levels={tuple(levels)}, and the head gets only '
            f'{count} features: give indices from 0 to {count - 1}, or let '
            'the backbone return more by out_indices'
        )
    return [features[level] for level in levels]


def unit_features(
    features: Sequence[Tensor],
    size: tuple[int, int],
    *,
    centred: bool = True,
) -> Tensor:
    """Join feature maps whose products are a mean of centred cosines.

    Each map is resized, the mean over its positions is taken away, and each
    position gets the length 1. (Features behind a ReLU all point into one
    orthant: without the mean every pair of positions would be alike.)

    Args:
        features: L maps, (B, C_l, h_l, w_l).
        size: Rows and columns (h, w) of the result.
        centred: Whether the mean is taken away.

    Returns:
        float32, (B, N, C) with N = h * w and C the sum of the channels.
    """
    parts = []
    for one in features:
        one = one.float()
        # Means of cells where the map is finer.
        if one.shape[2] >= size[0] and one.shape[3] >= size[1]:
            one = F.adaptive_avg_pool2d(one, size)
        else:
            one = F.interpolate(one, size, mode='bilinear')
        one = one.flatten(2).transpose(1, 2)
        if centred:
            one = one - one.mean(1, keepdim=True)
        parts.append(F.normalize(one, dim=2))
    return torch.cat(parts, 2) / len(parts) ** 0.5


def correlate_maps(
    maps: Tensor, features: Sequence[Tensor], power: float = 1.0
) -> Tensor:
    """Average maps over positions, weighted by the features' similarity.

    SEAM's equation without its embedding::

        y_i = sum_j a_ij m_j / sum_j a_ij,   a_ij = relu(cos(x_i, x_j)) ^ power

    where the cosine is the mean over the feature maps; see
    :func:`unit_features`.

    Args:
        maps: Class maps, (B, K, h, w).
        features: Feature maps of any sizes, (B, C_l, h_l, w_l).
        power: Exponent of the similarity; 1 as published. A larger one
            spreads less.

    Returns:
        float32, (B, K, h, w), between each map's extremes.

    Raises:
        ValueError: There are no features, or the power is not positive.
    """
    if not features:
        raise ValueError('correlate_maps needs at least one feature map')
    if not power > 0:
        raise ValueError(f'power={power} of correlate_maps must be positive')
    with torch.autocast(maps.device.type, enabled=False):
        unit = unit_features(features, tuple(maps.shape[2:]))
        given = maps.float().flatten(2).transpose(1, 2)
        positions = given.shape[1]
        rows = max(1, NUMBERS_AT_ONCE // (len(maps) * positions))
        parts = []
        for start in range(0, positions, rows):
            some = unit[:, start : start + rows]
            weights = (some @ unit.transpose(1, 2)).relu()
            if power != 1:
                weights = weights.pow(power)
            total = weights.sum(2, keepdim=True)
            # A position without any feature keeps its value.
            mean = weights @ given / total.clamp(min=EPS)
            own = given[:, start : start + rows]
            parts.append(torch.where(total > EPS, mean, own))
        return torch.cat(parts, 1).transpose(1, 2).reshape_as(maps)
