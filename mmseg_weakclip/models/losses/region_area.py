"""The area of activation maps is kept small (CLIMS, CVPR 2022, L_REG)."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .region_similarities import RegionSimilarities


def activation_area(
    maps: Tensor, present: Tensor, classes: str = 'all'
) -> Tensor:
    """The mean of maps, over classes and positions.

    Args:
        maps: P in [0, 1], (B, K, h, w).
        present: Image labels, bool, (B, K).
        classes: ``'all'``, or ``'present'`` for the maps of classes that
            their image has.

    Returns:
        Scalar in [0, 1], float32; 0 where no map counts.
    """
    areas = maps.float().mean((2, 3))
    if classes == 'all':
        return areas.mean()
    return areas.masked_fill(~present, 0).sum() / present.sum().clamp(min=1)


@MODELS.register_module()
class ActivationAreaLoss(nn.Module):
    """See :func:`activation_area`.

    Args:
        classes: ``'all'``, as published: maps of absent classes, which no
            other loss of CLIMS touches, go to zero. A class that is present
            then feels a force of 1 / (B K h w) at each position, the smaller
            the more classes there are. With ``'present'`` that number has no
            part in it, but absent classes are free.
        loss_weight: Factor of the loss; CLIMS has 0.2, its camera-ready
            version 1.15.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: ``classes`` is neither.
    """

    def __init__(
        self,
        classes: str = 'all',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_reg',
    ) -> None:
        super().__init__()
        if classes not in ('all', 'present'):
            raise ValueError(f"classes={classes!r} must be 'all' or 'present'")
        self.classes = classes
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, regions: RegionSimilarities) -> Tensor:
        """Loss of a batch.

        Returns:
            Scalar, float32.
        """
        return self.loss_weight * activation_area(
            regions.maps, regions.present, self.classes
        )
