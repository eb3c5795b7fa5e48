"""Object region and class text match (CLIMS, CVPR 2022, L_OTM)."""

from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from .regions import RegionSimilarities
from .text_matching import TextMatchingLoss


@MODELS.register_module()
class ObjectTextLoss(TextMatchingLoss):
    """``-log s`` of the object region and its class's text, the mean.

    0 at a cosine of 1, falling in the cosine. Alone it is content with the
    part of an object by which CLIP knows it best.

    A cosine below ``tangent_below`` is pushed up with a steady force; the
    published clamp gives up on a region whose cosine is not above ``eps``.

    Args:
        loss_name: Key in the head's losses.
        **kwargs: Of :class:`TextMatchingLoss`; CLIMS has the weight 10 on
            VOC and 2 on COCO.
    """

    def __init__(self, loss_name: str = 'loss_otm', **kwargs: Any) -> None:
        super().__init__(loss_name, **kwargs)

    @staticmethod
    def match(regions: RegionSimilarities) -> Tensor:
        """See :class:`TextMatchingLoss`."""
        return regions.object_text.float()
