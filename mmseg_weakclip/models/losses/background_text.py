"""The rest and the class text do not match (CLIMS, CVPR 2022, L_BTM)."""

from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from .regions import RegionSimilarities
from .text_matching import TextMatchingLoss


@MODELS.register_module()
class BackgroundTextLoss(TextMatchingLoss):
    """``-log(1 - s)`` of the rest and its class's text, the mean.

    0 at a cosine of 0, rising in the cosine: what is left of the object in
    the rest has to go to the object region. Alone it is best where the map
    covers the whole image.

    ``tangent_below`` and ``eps`` are of 1 - s: the tangent acts on cosines
    above ``1 - tangent_below``. Negative cosines are pushed on, down to a
    loss of -log 2 at -1; the published clamp leaves cosines below ``eps``
    alone.

    Args:
        loss_name: Key in the head's losses.
        **kwargs: Of :class:`TextMatchingLoss`; CLIMS has the weight 24 on
            VOC and 14 on COCO.
    """

    def __init__(self, loss_name: str = 'loss_btm', **kwargs: Any) -> None:
        super().__init__(loss_name, **kwargs)

    @staticmethod
    def match(regions: RegionSimilarities) -> Tensor:
        """See :class:`TextMatchingLoss`."""
        return 1 - regions.rest_text.float()
