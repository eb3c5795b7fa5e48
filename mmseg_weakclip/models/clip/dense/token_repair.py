"""Repair and smooth patch tokens before CLIP's last block (SC-CLIP)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.clip.similarity import restrict_to_regions

EPS = 1e-12


def outlier_factors(tokens: Tensor, neighbours: int = 30) -> Tensor:
    """Return the local outlier factor of each token of an image.

    As in SC-CLIP, with squared distances, and the reachability of a pair
    from the k-distance of the first token and not, as Breunig et al. (SIGMOD
    2000) have it, of the second. Then the reachability of all k neighbours is
    the token's own k-distance, and the factor is the mean over them of
    ``k_distance(token) / k_distance(neighbour)``.

    Args:
        tokens: Tokens, (B, N, D).
        neighbours: Number k of neighbours, without the token itself.

    Returns:
        float32, (B, N); about 1 for tokens among their like, more for
        outliers.

    Raises:
        ValueError: There are not more tokens than neighbours.
    """
    count = tokens.shape[1]
    if count <= neighbours:
        raise ValueError(
            f'the repair looks for {neighbours} neighbours of each patch, and '
            f'an image has only {count} patches: enlarge the images, or set '
            'fewer, repair=dict(neighbours=...)'
        )
    with torch.autocast(tokens.device.type, enabled=False):
        tokens = tokens.float()
        # From differences, not products: alike tokens lose no digits.
        distances = torch.cdist(
            tokens, tokens, compute_mode='donot_use_mm_for_euclid_dist'
        ).square()
        distances.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = distances.topk(neighbours, 2, largest=False)
        reach = nearest.values[..., -1].clamp(min=EPS)
        theirs = reach.gather(1, nearest.indices.flatten(1))
        theirs = theirs.view_as(nearest.indices)
        return (reach[..., None] / theirs).mean(2)


def find_outliers(
    tokens: Tensor, neighbours: int = 30, share: float = 0.05
) -> Tensor:
    """Return the tokens with the highest :func:`outlier_factors`.

    Args:
        tokens: Tokens, (B, N, D).
        neighbours: Number of neighbours.
        share: Share of the tokens; at least one is an outlier.

    Returns:
        bool, (B, N).
    """
    factors = outlier_factors(tokens, neighbours)
    count = max(1, int(share * tokens.shape[1]))
    chosen = factors.topk(count, 1).indices
    found = torch.zeros_like(factors, dtype=torch.bool)
    return found.scatter(1, chosen, value=True)


def repair_tokens(
    tokens: Tensor,
    outliers: Tensor,
    grid: tuple[int, int],
    regions: Tensor | None = None,
) -> Tensor:
    """Give outliers the mean of their neighbours that are none.

    Args:
        tokens: Tokens, (B, N, D) with N = h * w.
        outliers: Which tokens are outliers, bool, (B, N).
        grid: Rows and columns (h, w).
        regions: Region of each token, -1 for none, (B, N). Only neighbours
            of the same region count; for a token without a region, all. None
            counts all.

    Returns:
        (B, N, D). An outlier without any neighbour that counts stays as it
        is.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        valid = (~outliers).float().unflatten(1, grid)[:, None]
        maps = tokens.float().transpose(1, 2).unflatten(2, grid)
        own = None if regions is None else regions.unflatten(1, grid)[:, None]
        near, count = torch.zeros_like(maps), torch.zeros_like(valid)
        for place in range(9):
            # Nothing outside the grid counts, nor the outlier itself.
            counts = _shifted(valid, place)
            if own is not None:
                counts = counts * ((_shifted(own, place) == own) | (own == -1))
            near = near + _shifted(maps, place) * counts
            count = count + counts
        mean = (near / count.clamp(min=1)).flatten(2).transpose(1, 2)
        change = outliers & (count.flatten(1) > 0)
        return torch.where(change[..., None], mean.to(tokens.dtype), tokens)


def _shifted(maps: Tensor, place: int) -> Tensor:
    """Return the neighbour at one of 3 x 3 places, zero outside the grid."""
    rows, columns = maps.shape[-2:]
    down, right = divmod(place, 3)
    padded = F.pad(maps, (1, 1, 1, 1))
    return padded[..., down : down + rows, right : right + columns]


def smooth_tokens(
    tokens: Tensor,
    features: Tensor,
    threshold: float = 0.4,
    regions: Tensor | None = None,
) -> Tensor:
    """Average tokens over those with similar features.

    Args:
        tokens: Tokens, (B, N, D).
        features: Features of the same tokens, (B, N, C).
        threshold: Cosine below which a pair has no weight.
        regions: Region of each token, -1 for none, (B, N): tokens are
            averaged within their region; see :func:`restrict_to_regions`.
            None averages over all.

    Returns:
        (B, N, D): weighted means, with the cosines as weights.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        unit = F.normalize(features.float(), dim=2)
        cosine = unit @ unit.transpose(1, 2)
        weights = cosine * (cosine >= threshold)
        if regions is not None:
            similar = cosine.masked_fill(cosine < threshold, -torch.inf)
            seen = restrict_to_regions(similar, regions, regions)
            weights = weights * seen.isfinite()
        weights = weights / weights.sum(2, keepdim=True).clamp(min=EPS)
        return (weights @ tokens.float()).to(tokens.dtype)
