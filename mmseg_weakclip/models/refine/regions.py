"""Regions of an image vote on its classes.

Regions are masks without classes: superpixels, or what a promptable segmenter
such as SAM cuts out of an image. Their edges are better than those of class
maps, which know what the regions are. Three ways to join both:

``'vote'``
    Scores are averaged within regions, the background's as well. A pixel
    takes the average of its smallest region that is sure, else its own score.
``'sepl'``
    SEPL (Chen et al., "Segment Anything Model Enhanced Pseudo Labels",
    arXiv 2305.05803): regions that overlap a class's mask enough become that
    class. No score is read.
``'fma'``
    SAMS of "Foundation Model Assisted Weakly Supervised Semantic
    Segmentation" (Yang and Gong, WACV 2024): each region takes the class of
    the highest mean map, and whole objects are painted over parts.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mmseg_weakclip.common.options import check_options

# Regions that are averaged at a time: 48 MB of a photo.
CHUNK = 32
RECIPES = ('vote', 'sepl', 'fma')


def mean_scores(scores: Tensor, regions: Tensor) -> Tensor:
    """Return the mean scores within each region.

    Args:
        scores: Scores of classes, (C, H, W).
        regions: Pixels of each region, bool, (R, H, W), none empty.

    Returns:
        float32, (R, C).
    """
    # In float64, since GPUs may round the factors of float32 products.
    columns = scores.double().flatten(1).T
    sums = [
        some.flatten(1).double() @ columns for some in regions.split(CHUNK)
    ]
    areas = regions.flatten(1).sum(1, keepdim=True)
    means = torch.cat([columns.new_zeros(0, len(scores)), *sums]) / areas
    return means.float()


def vote_by_regions(
    scores: Tensor, regions: Tensor, margin: float = 0.0
) -> Tensor:
    """Average scores within regions that are sure of their class.

    Args:
        scores: Scores of classes, the background's as well, (C, H, W).
        regions: Pixels of each region, bool, (R, H, W), none empty.
        margin: How far the best mean score of a region must be above the
            second best. With one class, all regions are sure.

    Returns:
        float32, (C, H, W): in a pixel the mean of the smallest sure region
        around it, and its own score where there is none.
    """
    scores = scores.float()
    means = mean_scores(scores, regions)
    sure = torch.ones_like(means[:, 0], dtype=torch.bool)
    if len(scores) > 1:
        best, second = means.topk(2, dim=1).values.unbind(1)
        sure = best - second > margin
    order = regions.flatten(1).sum(1).argsort(stable=True)
    order = order[sure[order]]
    if not len(order):
        return scores
    # Of the smallest regions first, the first around a pixel.
    around, first = regions[order].to(torch.uint8).max(0)
    voted = means[order[first]].permute(2, 0, 1)
    return torch.where(around.bool(), voted, scores)


def join_masks(
    mask: Tensor,
    regions: Tensor,
    inside: float = 0.5,
    covers: float = 0.85,
    ignore_index: int = 255,
) -> Tensor:
    """Let classes take whole regions (SEPL, arXiv 2305.05803).

    A region R joins a class with the mask M if ``|R & M| / |R| > inside`` or
    ``|R & M| / |M| >= covers``. It joins one class: the one it overlaps most.
    (In the published code, the class that comes first.) The class is then the
    union of its regions, and of M where there is no region.

    Args:
        mask: Class ids, 0 for the background, (H, W).
        regions: Pixels of each region, bool, (R, H, W), none empty.
        inside: Smallest share of a region.
        covers: Smallest share of a mask.
        ignore_index: Id of pixels without a class, which stay where there is
            no region.

    Returns:
        Class ids, (H, W); a larger id is painted over a smaller one.
    """
    ids = mask.unique()
    ids = ids[(ids != 0) & (ids != ignore_index)]
    without = ~regions.any(0)
    joined = torch.where(without, mask, 0)
    if not len(ids) or not len(regions):
        return joined
    own = mask == ids[:, None, None]
    overlap = mean_scores(own, regions) * regions.flatten(1).sum(1)[:, None]
    shares = overlap / regions.flatten(1).sum(1)[:, None]
    covered = overlap / own.flatten(1).sum(1)
    joins = (shares > inside) | (covered >= covers)
    most = overlap.masked_fill(~joins, -1).max(1)
    for place, class_id in enumerate(ids):
        chosen = (most.indices == place) & (most.values > 0)
        joined[regions[chosen].any(0)] = class_id
    return joined


def label_regions(
    cams: Tensor,
    regions: Tensor,
    levels: Tensor,
    power: float = 0.6,
) -> Tensor:
    """Return a mask of regions, each of the class of its highest map (FMA).

    The mean of a map in a region is stretched to 0..1 over the regions, class
    by class; the background's score is ``(1 - highest) ** power``. Regions
    are painted by their level, then by their score, the highest last.

    Args:
        cams: Maps of the classes, without a background, (C, H, W); negative
            values count as zero.
        regions: Pixels of each region, bool, (R, H, W), none empty.
        levels: Levels of the regions, (R,): higher ones are whole objects,
            lower ones parts.
        power: Exponent of the background.

    Returns:
        0 for the background, which is also what no region covers, and 1 + c
        for the map c, int64, (H, W).
    """
    painted = torch.zeros(
        cams.shape[1:], dtype=torch.int64, device=cams.device
    )
    if not len(cams) or not len(regions):
        return painted
    means = mean_scores(cams.clamp(min=0), regions)
    low, high = means.aminmax(dim=0)
    shares = (means - low) / (high - low).clamp(min=1e-8)
    background = (1 - shares.amax(1, keepdim=True)) ** power
    score, label = torch.cat([background, shares], 1).max(1)
    by_score = score.argsort(stable=True)
    order = by_score[levels[by_score].argsort(stable=True)]
    # The last one around a pixel: the first one from behind.
    around, first = regions[order.flip(0)].to(torch.uint8).max(0)
    return torch.where(around.bool(), label[order.flip(0)[first]], painted)


def refine_by_regions(
    scores: Tensor,
    regions: Tensor,
    levels: Tensor,
    recipe: str = 'vote',
    **options: float,
) -> Tensor:
    """Refine scores by a recipe, in float32, under autocast too.

    Args:
        scores: Scores of classes, the background's first, (C, H, W).
        regions: Pixels of each region, bool, (R, H, W), none empty.
        levels: Levels of the regions, (R,); only ``'fma'`` reads them.
        recipe: One of ``RECIPES``.
        options: Arguments of the recipe's function: ``margin``; ``inside``
            and ``covers``; ``power``.

    Returns:
        float32, (C, H, W): means for ``'vote'``; for the others, which decide
        on classes, 1 in the class of a pixel and 0 elsewhere.

    Raises:
        ValueError: There is no such recipe.
    """
    if recipe not in RECIPES:
        raise ValueError(f'recipe={recipe!r} must be one of {RECIPES}')
    with torch.autocast(scores.device.type, enabled=False):
        if recipe == 'vote':
            return vote_by_regions(scores, regions, **options)
        if recipe == 'sepl':
            labels = join_masks(scores.argmax(0), regions, **options)
        else:
            labels = label_regions(scores[1:], regions, levels, **options)
    classes = torch.arange(len(scores), device=scores.device)
    return (labels == classes[:, None, None]).float()


def check_region_options(
    options: dict, min_score: float, sure_share: float = 1.0
) -> None:
    """Check the arguments of the refinement by regions.

    Args:
        options: See ``Refiner``.
        min_score: See ``Refiner``.
        sure_share: See ``Refiner``.

    Raises:
        ValueError: There is no such folder, or no such recipe or argument;
            or the recipe gives no scores that ``min_score`` or
            ``sure_share`` could look at.
    """
    options = dict(options)
    folder = options.pop('folder', None)
    if folder is None or not Path(folder).is_dir():
        raise ValueError(
            f'regions: the folder {folder} does not exist; make it with '
            '`weakclip regions` and name it by folder=...'
        )
    none = torch.zeros(0, 1, 1, dtype=torch.bool)
    check_options(
        'regions',
        options,
        partial(refine_by_regions, torch.zeros(2, 1, 1), none, torch.zeros(0)),
    )
    leaves_out = min_score > 0 or sure_share < 1
    if leaves_out and options.get('recipe', 'vote') != 'vote':
        raise ValueError(
            f'min_score={min_score} and sure_share={sure_share} leave out '
            f'unsure pixels, but the recipe {options["recipe"]!r} of regions '
            "decides on classes: use recipe='vote', or min_score=0 and "
            'sure_share=1'
        )
