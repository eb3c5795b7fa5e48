"""Text matching losses on image regions (CLIMS, CVPR 2022, L_OTM and L_BTM).

The object region should match the text of its class, the rest of the image
should not: both losses are ``-log`` of a match in [0, 1] or a little beyond.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from .functional import mean_or_zero, negative_log
from .region_similarities import RegionSimilarities


class RegionTextLoss(nn.Module, metaclass=ABCMeta):
    """Mean over pairs of ``factor * -log(match)``.

    The mean is over the M pairs of the batch, whatever their factors: a
    factor of 3 triples what a pair adds.

    Args:
        loss_name: Key in the head's losses.
        loss_weight: Factor of the loss.
        class_weights: Factor >= 0 of a class by its id, from 0; 1 for those
            it leaves out. The camera-ready version of CLIMS triples chair,
            dining table and sofa of VOC, ``{8: 3.0, 10: 3.0, 17: 3.0}``.
        tangent_below: See :func:`negative_log`; None clamps as published,
            which leaves regions outside the clamp without a gradient.
        eps: Bound of the clamp; see :func:`negative_log`.

    Raises:
        ValueError: A value is out of its range.
    """

    def __init__(
        self,
        loss_name: str,
        loss_weight: float = 1.0,
        class_weights: Mapping[int, float] | None = None,
        tangent_below: float | None = 0.1,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        if tangent_below is not None and not 0 < tangent_below < 1:
            raise ValueError(
                f'tangent_below={tangent_below} must be in (0, 1), or None '
                'to clamp'
            )
        if not 0 < eps < 0.5:
            raise ValueError(f'eps={eps} must be in (0, 0.5)')
        self.class_weights = dict(class_weights or {})
        for label, factor in self.class_weights.items():
            if not isinstance(label, int) or label < 0 or not factor >= 0:
                raise ValueError(
                    f'class_weights: {label!r}: {factor!r} must be a class '
                    'id, an integer from 0, and a factor >= 0'
                )
        self.tangent_below = tangent_below
        self.eps = eps
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    @staticmethod
    @abstractmethod
    def match(regions: RegionSimilarities) -> Tensor:
        """Return the match of each pair, which should be large, (M,)."""

    def forward(self, regions: RegionSimilarities) -> Tensor:
        """Return the loss of a batch.

        Args:
            regions: Similarities and maps of the batch.

        Returns:
            Scalar, float32; 0 without pairs.

        Raises:
            ValueError: A class of ``class_weights`` has no map.
        """
        num_classes = regions.maps.shape[1]
        unknown = [k for k in self.class_weights if k >= num_classes]
        if unknown:
            raise ValueError(
                f'class_weights names the classes {unknown}, but the maps '
                f'have 0..{num_classes - 1}; background is not counted'
            )
        penalty = negative_log(
            self.match(regions), self.tangent_below, self.eps
        )
        penalty = penalty * class_factors(regions.labels, self.class_weights)
        return self.loss_weight * mean_or_zero(penalty, regions.maps)


@MODELS.register_module()
class ObjectTextLoss(RegionTextLoss):
    """Mean of ``-log s`` of the object region and its class's text.

    It is 0 at a cosine of 1. Used alone, it is satisfied with the part of an
    object that CLIP recognises best.

    Cosines below ``tangent_below`` get a constant gradient; the published
    clamp gives none to a region whose cosine is not above ``eps``.

    Args:
        loss_name: Key in the head's losses.
        **kwargs: Arguments of :class:`RegionTextLoss`; CLIMS has the weight
            10 on VOC and 2 on COCO.
    """

    def __init__(self, loss_name: str = 'loss_otm', **kwargs: Any) -> None:
        super().__init__(loss_name, **kwargs)

    @staticmethod
    def match(regions: RegionSimilarities) -> Tensor:
        """Return the cosine of object region and class text, (M,)."""
        return regions.object_text.float()


@MODELS.register_module()
class BackgroundTextLoss(RegionTextLoss):
    """Mean of ``-log(1 - s)`` of the rest and its class's text.

    It is 0 at a cosine of 0: parts of the object that are left in the rest
    have to move to the object region. Used alone, it is lowest where the map
    covers the whole image.

    ``tangent_below`` and ``eps`` apply to 1 - s: the tangent acts on cosines
    above ``1 - tangent_below``. Negative cosines keep their gradient, down
    to a loss of -log 2 at -1; the published clamp gives none to cosines
    below ``eps``.

    Args:
        loss_name: Key in the head's losses.
        **kwargs: Arguments of :class:`RegionTextLoss`; CLIMS has the weight
            24 on VOC and 14 on COCO.
    """

    def __init__(self, loss_name: str = 'loss_btm', **kwargs: Any) -> None:
        super().__init__(loss_name, **kwargs)

    @staticmethod
    def match(regions: RegionSimilarities) -> Tensor:
        """Return 1 - cosine of the rest and the class text, (M,)."""
        return 1 - regions.rest_text.float()


def class_factors(
    labels: Tensor, class_weights: Mapping[int, float]
) -> Tensor:
    """Return the factor of each pair, float32, (M,); 1 if not given.

    Args:
        labels: Class id of each pair, (M,).
        class_weights: Factors by class id.
    """
    factors = torch.ones_like(labels, dtype=torch.float32)
    for label, factor in class_weights.items():
        factors = factors.masked_fill(labels == label, factor)
    return factors
