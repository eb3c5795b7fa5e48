"""Penalty on the area of activation maps (CLIMS, CVPR 2022, L_REG)."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .region_similarities import RegionSimilarities


def activation_area(
    maps: Tensor, present: Tensor, classes: str = 'all'
) -> Tensor:
    """Return the mean of maps, over classes and positions.

    Args:
        maps: Activation maps in [0, 1], (B, K, h, w).
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
    """Area of activation maps; see :func:`activation_area`.

    Args:
        classes: ``'all'``, as published: maps of absent classes, which no
            other loss of CLIMS trains, go to zero. The gradient at each
            position is then 1 / (B K h w), smaller the more classes there
            are. With ``'present'`` it does not depend on K, but maps of
            absent classes are not trained.
        loss_weight: Factor of the loss; CLIMS has 0.2, its camera-ready
            version 1.15.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: ``classes`` has another value.
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
        """Return the loss of a batch.

        Args:
            regions: Similarities and maps of the batch.

        Returns:
            Scalar, float32.
        """
        return self.loss_weight * activation_area(
            regions.maps, regions.present, self.classes
        )
