"""Suppression of co-occurring background (CLIMS, CVPR 2022, L_CBS)."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .functional import mean_or_zero, negative_log
from .region_similarities import RegionSimilarities


def background_suppression(
    similarity: Tensor,
    mask: Tensor,
    threshold: float | None = 0.26,
    over_texts: str = 'sum',
    tangent_below: float | None = 0.1,
) -> Tensor:
    """Add up ``-log(1 - s)`` over texts that an object region resembles.

    The threshold is a hard gate: the loss jumps there, and the gate itself
    has no gradient. -log is continued by :func:`negative_log`, which changes
    it for cosines above 0.9 only; the published -log(1 - s) is infinite at 1.

    Args:
        similarity: Cosines s of the object region and the texts, (M, L).
        mask: Which texts belong to the pair, bool, (M, L).
        threshold: Texts count where s is above; None counts all. Cosines
            below 0 then give negative values.
        over_texts: ``'sum'``, or ``'mean'`` over all texts of the pair,
            including those below the threshold.
        tangent_below: See :func:`negative_log`; None takes the bare
            logarithm, as published.

    Returns:
        float32, (M,); 0 for a pair without texts.
    """
    # Before the logarithm, so that padding gives no NaN to the gradient; it
    # adds -log 1.
    similarity = similarity.float().masked_fill(~mask, 0)
    penalty = negative_log(1 - similarity, tangent_below, eps=None)
    if threshold is not None:
        penalty = penalty.masked_fill(similarity <= threshold, 0)
    penalty = penalty.sum(1)
    if over_texts == 'mean':
        penalty = penalty / mask.sum(1).clamp(min=1)
    return penalty


@MODELS.register_module()
class BackgroundSuppressionLoss(nn.Module):
    """Suppression of a batch; see :func:`background_suppression`.

    The published code sums over pairs, so that the weight of the loss against
    the others, which are means, grows with the batch and its labels. The sum
    is M times the mean: with the 25 pairs that 16 images of VOC have, weight
    1 of ``'sum'`` is weight 25 of ``'mean'``. All M pairs are in the mean,
    including those without texts.

    Args:
        threshold: Cosine above which texts count; None counts all. CLIMS has
            0.26 on VOC and 0.285 on COCO for one list of texts for all
            classes, which belongs to the cosines of CLIP ViT-B/32; its
            camera-ready version has None, and texts of each class's own.
        over_texts: ``'sum'`` or ``'mean'``; the camera-ready version has
            ``'mean'``.
        reduction: Reduction over pairs: ``'mean'``, or ``'sum'`` as published.
        loss_weight: Factor of the loss; CLIMS has 1 on VOC, 1.25 on COCO,
            29.5 in its camera-ready version, all three for ``'sum'``.
        loss_name: Key in the head's losses.
        tangent_below: Where 1 - s is below, -log continues as its tangent;
            None takes the bare logarithm, as published, infinite at s = 1.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        threshold: float | None = 0.26,
        over_texts: str = 'sum',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_cbs',
        tangent_below: float | None = 0.1,
    ) -> None:
        super().__init__()
        if tangent_below is not None and not 0 < tangent_below < 1:
            raise ValueError(
                f'tangent_below={tangent_below} must be in (0, 1), or None '
                'for the bare logarithm'
            )
        self.tangent_below = tangent_below
        if threshold is not None and not -1 <= threshold < 1:
            raise ValueError(
                f'threshold={threshold} must be a cosine in [-1, 1), or None '
                'for all texts'
            )
        for name, value in (
            ('over_texts', over_texts),
            ('reduction', reduction),
        ):
            if value not in ('sum', 'mean'):
                raise ValueError(f"{name}={value!r} must be 'sum' or 'mean'")
        self.threshold = threshold
        self.over_texts = over_texts
        self.reduction = reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, regions: RegionSimilarities) -> Tensor:
        """Return the loss of a batch.

        Args:
            regions: Similarities and maps of the batch.

        Returns:
            Scalar, float32; 0 without pairs or texts.
        """
        penalty = background_suppression(
            regions.object_background,
            regions.background_mask,
            self.threshold,
            self.over_texts,
            self.tangent_below,
        )
        loss = mean_or_zero(penalty, regions.maps)
        if self.reduction == 'sum':
            loss = loss * len(penalty)
        return self.loss_weight * loss
