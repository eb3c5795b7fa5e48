"""Diversity of token relations (ExCEL, CVPR 2025, L_div; WeCLIP, L_aff)."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn


def near_pairs(
    grid: tuple[int, int], radius: int, device: torch.device
) -> Tensor:
    """Return which patches are at most ``radius`` rows and columns apart.

    Args:
        grid: Rows and columns (h, w).
        radius: Half side of the square around a patch, in patches.
        device: Device of the result.

    Returns:
        bool, (h * w, h * w); a patch is near itself.
    """

    def along(length: int) -> Tensor:
        place = torch.arange(length, device=device)
        return (place[:, None] - place).abs() <= radius

    rows, columns = map(along, grid)
    near = rows[:, None, :, None] & columns[None, :, None, :]
    return near.flatten(2).flatten(0, 1)


def affinity_diversity(
    affinity: Tensor,
    labels: Tensor,
    radius: int | None = 8,
    ignore_index: int = 255,
) -> Tensor:
    """Pull same-class patches together and push the others apart.

    Half the mean of 1 - G over near pairs of one class, half the mean of G
    over near pairs of two classes, over the batch. Pairs with an ignored
    patch count in neither; a term without a pair is zero. A patch and itself
    are a pair of one class, as in the published code.

    Args:
        affinity: G in [0, 1], (B, N, N) with N = h * w.
        labels: Class id of each patch, (B, h, w).
        radius: Largest distance of a pair that counts, in patches; None
            counts all.
        ignore_index: Id of ignored patches.

    Returns:
        Scalar in [0, 1]; 0 where G is 1 within and 0 across classes.

    Raises:
        ValueError: The shapes of affinity and labels do not match.
    """
    number = labels.shape[1] * labels.shape[2]
    if affinity.shape != (len(labels), number, number):
        raise ValueError(
            f'labels {tuple(labels.shape)} need an affinity '
            f'{(len(labels), number, number)}, got {tuple(affinity.shape)}'
        )
    flat = labels.flatten(1)
    valid = flat != ignore_index
    pair = valid[:, :, None] & valid[:, None]
    if radius is not None:
        pair = pair & near_pairs(labels.shape[1:], radius, labels.device)
    same = (flat[:, :, None] == flat[:, None]) & pair
    other = pair & ~same
    affinity = affinity.float()
    pull = ((1 - affinity) * same).sum() / same.sum().clamp(min=1)
    push = (affinity * other).sum() / other.sum().clamp(min=1)
    return (pull + push) / 2


@MODELS.register_module()
class AffinityDiversityLoss(nn.Module):
    """Diversity of an affinity; see :func:`affinity_diversity`.

    Args:
        radius: Largest distance of a pair that counts, in patches.
        loss_weight: Factor of the loss; ExCEL and WeCLIP have 0.1.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: The radius is negative.
    """

    def __init__(
        self,
        radius: int | None = 8,
        loss_weight: float = 0.1,
        loss_name: str = 'loss_div',
    ) -> None:
        super().__init__()
        if radius is not None and radius < 0:
            raise ValueError(
                f'radius={radius} must not be negative, or no pair counts; '
                'None counts all'
            )
        self.radius = radius
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, affinity: Tensor, labels: Tensor, ignore_index: int = 255
    ) -> Tensor:
        """Return the weighted :func:`affinity_diversity`."""
        return self.loss_weight * affinity_diversity(
            affinity, labels, self.radius, ignore_index
        )
