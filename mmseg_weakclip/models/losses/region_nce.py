"""Contrast of regions and texts (CLIMS+, eq. 9 to 12; QA-CLIMS).

It replaces the three losses of CLIMS on texts. With a temperature
t, oo, ob, bo and bb for the similarities of the object region (o) and the
rest (b) to the class's text and to the background texts, each form is made of
terms ``-log(exp(p) / sum exp(n))`` over a positive p and negatives n. They
are evaluated as ``logsumexp(n) - p``: the exponentials themselves overflow.
The arguments of the forms are those of :class:`InfoNCERegionLoss`.
"""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from .functional import mean_or_zero
from .region_similarities import RegionSimilarities


def contrast(
    positive: Tensor, negative: Tensor, *, include_positive: bool
) -> Tensor:
    """Return ``-log(exp(p) / sum)`` with the sum in log space.

    Args:
        positive: Logits p of the positives, (N,).
        negative: Log of the sum of exponentials of the negatives, (N,).
        include_positive: Whether exp(p) is part of the sum, as in the usual
            InfoNCE, which bounds the loss below by 0.

    Returns:
        Losses, (N,); without the positive they have no lower bound, and a
        gradient of -1 on p however large it is.
    """
    loss = negative - positive
    return F.softplus(loss) if include_positive else loss


def background_logits(
    similarity: Tensor, mask: Tensor, temperature: float, reduction: str
) -> Tensor:
    """Return similarities to background texts as terms of a logsumexp.

    Args:
        similarity: Cosines of regions and texts, (M, L).
        mask: Which texts belong to the pair, bool, (M, L).
        temperature: Temperature t.
        reduction: ``'sum'``; or ``'mean'``, which takes the log of the number
            of a pair's texts from each, so that the sum of exponentials is
            their mean.

    Returns:
        float32, (M, L); -inf where the pair has no text.
    """
    logits = similarity.float() / temperature
    if reduction == 'mean':
        number = mask.sum(1, keepdim=True).clamp(min=1)
        logits = logits - number.float().log()
    return logits.masked_fill(~mask, float('-inf'))


def _pair_terms(
    regions: RegionSimilarities, temperature: float, reduction: str
) -> tuple[Tensor, Tensor]:
    """Return the positive and the negative of each pair, both (M,)."""
    background = background_logits(
        regions.object_background,
        regions.background_mask,
        temperature,
        reduction,
    )
    rest = regions.rest_text.float() / temperature
    # The rest is always there, so that no row is -inf throughout.
    negative = torch.cat([rest[:, None], background], 1).logsumexp(1)
    return regions.object_text.float() / temperature, negative


def image_contrast(
    regions: RegionSimilarities,
    temperature: float,
    *,
    include_positive: bool = False,
    background_reduction: str = 'sum',
) -> Tensor:
    """Return eq. 9 of CLIMS+, to the letter, for each image with pairs.

    Over the pairs k of an image::

        -log [ exp(sum_k oo_k / t) /
               sum_k (sum_l exp(ob_kl / t) + exp(bo_k / t)) ]

    The numerator is the product over classes, not their sum, so that an image
    of many classes pulls harder. With ``include_positive`` that product is
    added to the denominator.

    Returns:
        float32, one value for each image with pairs, (N,).
    """
    positive, negative = _pair_terms(
        regions, temperature, background_reduction
    )
    # Rows are images that have pairs: none of them is -inf throughout.
    own = regions.images == regions.images.unique()[:, None]
    return contrast(
        positive.where(own, 0).sum(1),
        negative.where(own, float('-inf')).logsumexp(1),
        include_positive=include_positive,
    )


def pair_contrast(
    regions: RegionSimilarities,
    temperature: float,
    *,
    include_positive: bool = False,
    background_reduction: str = 'sum',
) -> Tensor:
    """Return eq. 9 as if each pair had an image of its own, (M,)."""
    positive, negative = _pair_terms(
        regions, temperature, background_reduction
    )
    return contrast(positive, negative, include_positive=include_positive)


def two_sided_contrast(
    regions: RegionSimilarities,
    temperature: float,
    *,
    include_positive: bool = True,
    background_reduction: str = 'sum',
    weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Add a contrast of the object region and one of the rest (QA-CLIMS).

    For each pair that has background texts, ``weights[0] * FRC + weights[1] *
    BRC``, with::

        FRC = -log [ exp(oo / t) / (exp(oo / t) + sum_l exp(ob_l / t)) ]
        BRC = -log [ m / (m + exp(bo / t)) ],  m = mean_l exp(bb_l / t)

    QA-CLIMS sums both over pairs, with weights 10 and 8 and t = 0.7.

    A pair without texts has no negative in FRC and no positive in BRC.
    ``background_reduction`` applies to FRC.

    Returns:
        float32, one value for each pair that has texts, (N,).
    """
    # A boolean index would wait for the device in each of its uses.
    kept = regions.background_mask.any(1).nonzero().flatten()
    mask = regions.background_mask[kept]
    background = background_logits(
        regions.object_background[kept],
        mask,
        temperature,
        background_reduction,
    )
    rest_background = background_logits(
        regions.rest_background[kept], mask, temperature, 'mean'
    )
    object_side = contrast(
        regions.object_text[kept].float() / temperature,
        background.logsumexp(1),
        include_positive=include_positive,
    )
    rest_side = contrast(
        rest_background.logsumexp(1),
        regions.rest_text[kept].float() / temperature,
        include_positive=include_positive,
    )
    return weights[0] * object_side + weights[1] * rest_side


FORMS = {
    'eq9': image_contrast,
    'per_class': pair_contrast,
    'frc_brc': two_sided_contrast,
}


@MODELS.register_module()
class InfoNCERegionLoss(nn.Module):
    """The mean of one of three contrasts of regions and texts.

    Pairs without background texts have the rest as their only negative in
    ``'eq9'`` and ``'per_class'``. ``'frc_brc'`` leaves them out, and is zero
    for a batch without texts.

    Args:
        form: ``'eq9'``, :func:`image_contrast`, the mean over images that
            have pairs; ``'per_class'``, :func:`pair_contrast`, over pairs;
            ``'frc_brc'``, :func:`two_sided_contrast`, over pairs that have
            texts. The first two are equal for images of one class.
        temperature: Temperature t. The report on CLIMS+ states none, and
            cites MoCo; 0.7 is that of QA-CLIMS, by the same author.
        include_positive: See :func:`contrast`; None follows the paper of the
            form: False for the first two, True for ``'frc_brc'``.
        background_reduction: ``'sum'`` of exponentials over a pair's texts,
            as published: of 10 texts and the rest, the rest gets about 1/11
            of the gradient. ``'mean'``: all texts of a pair weigh as much as
            one.
        loss_weight: Factor of the loss; CLIMS+ states none.
        loss_name: Key in the head's losses.
        weights: Factors of FRC and BRC in ``'frc_brc'``; QA-CLIMS has 10 and
            8. None is 1 and 1.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        form: str = 'eq9',
        temperature: float = 0.7,
        *,
        include_positive: bool | None = None,
        background_reduction: str = 'sum',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_nce',
        weights: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f'form={form!r} must be one of {list(FORMS)}')
        if not temperature > 0:
            raise ValueError(f'temperature={temperature} must be above 0')
        if background_reduction not in ('sum', 'mean'):
            raise ValueError(
                f'background_reduction={background_reduction!r} must be '
                "'sum' or 'mean'"
            )
        if weights is not None and (form != 'frc_brc' or len(weights) != 2):
            raise ValueError(
                f"weights={weights} must be two factors, of form='frc_brc' "
                f'only, not of {form!r}; use loss_weight for the others'
            )
        if include_positive is None:
            include_positive = form == 'frc_brc'
        self.form = form
        self.temperature = temperature
        self.include_positive = include_positive
        self.background_reduction = background_reduction
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        # Only one form has factors.
        self._factors = {} if weights is None else dict(weights=weights)

    def forward(self, regions: RegionSimilarities) -> Tensor:
        """Return the loss of a batch.

        Args:
            regions: Similarities and maps of the batch.

        Returns:
            Scalar, float32; 0 without pairs.
        """
        values = FORMS[self.form](
            regions,
            self.temperature,
            include_positive=self.include_positive,
            background_reduction=self.background_reduction,
            **self._factors,
        )
        return self.loss_weight * mean_or_zero(values, regions.maps)
