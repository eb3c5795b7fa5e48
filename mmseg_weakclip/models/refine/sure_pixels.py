"""The surer part of each class's pixels, by the margin of their scores.

BECO (Rong et al., "Boundary-enhanced Co-training for Weakly Supervised
Semantic Segmentation", CVPR 2023) learns half of the pixels of each class as
labels, and leaves the rest to its networks.
"""

import math

import torch
from torch import Tensor


def surest_pixels(scores: Tensor, share: float = 0.5) -> Tensor:
    """Return the pixels of an image whose class is among the surer ones.

    A pixel's margin is its best score minus the second best. Of the pixels of
    each best class, the ``share`` of the largest margins is sure; those that
    tie with the last of them are as well.

    Args:
        scores: Scores of n classes, (n, H, W). With one class all pixels are
            sure.
        share: Share of each class's pixels, in (0, 1]; rounded up to whole
            pixels, so that no class is left without any.

    Returns:
        bool, (H, W).

    Raises:
        ValueError: The share is not in (0, 1].
    """
    check_sure_share(share)
    if len(scores) == 1 or share == 1:
        return torch.ones_like(scores[0], dtype=torch.bool)
    (best, second), (classes, _) = scores.float().topk(2, 0)
    margin = best - second
    sure = torch.zeros_like(classes, dtype=torch.bool)
    for index in range(len(scores)):
        own = classes == index
        margins = margin[own]
        if len(margins):
            kept = math.ceil(share * len(margins))
            least = margins.kthvalue(len(margins) - kept + 1).values
            sure |= own & (margin >= least)
    return sure


def check_sure_share(share: float) -> None:
    """Raise a ``ValueError`` for a share that is not in (0, 1]."""
    if not 0 < share <= 1:
        raise ValueError(
            f'sure_share={share} must be above 0 and at most 1, which keeps '
            'all pixels'
        )
