"""Boundary loss between predictions and their own dense CRF (WeakCLIP).

WeakCLIP (Zhu et al., IJCV 2025), after the constrain-to-boundary loss of SEC
(Kolesnikov and Lampert, ECCV 2016), with a clipped ratio.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_weakclip.models.refine.crf_params import (
    CRFParams,
    resolve_crf_params,
)
from mmseg_weakclip.models.refine.dense_crf import dense_crf

from .functional import smoothed_softmax

# Probabilities enter and leave the CRF no smaller than this (published).
MIN_PROB = 1e-4


def clipped_kl(
    target: Tensor, probs: Tensor, ratio_range: tuple[float, float]
) -> Tensor:
    """Return ``sum_c q_c log(clip(q_c / p_c, low, high))`` at each pixel.

    Where the ratio is clipped, the gradient is zero: classes on which CRF
    and prediction differ by more than the range are not trained.

    Args:
        target: Probabilities q, shape (B, K, H, W).
        probs: Probabilities p > 0, shape (B, K, H, W).
        ratio_range: Bounds (low, high) of the ratio.

    Returns:
        Shape (B, H, W); the Kullback-Leibler divergence where nothing is
        clipped.
    """
    ratio = (target / probs).clamp(*ratio_range)
    return (target * ratio.log()).sum(dim=1)


@MODELS.register_module()
class CRFBoundaryLoss(nn.Module):
    """Clipped KL(q || p) of the prediction p and its dense CRF q.

    ``q = renormalise(max(CRF(image, max(p, 1e-4)), 1e-4))`` is a constant:
    no gradient passes through it. The mean is over all pixels, including
    those with an ignored seed.

    Args:
        params: Preset, values or instance of :class:`CRFParams`.
        backend: See :func:`dense_crf`.
        size: Height and width at which the loss is computed; None for those
            of the logits.
        align_corners: Mode of resizing the images. The published code has
            True, but False for the logits, which shifts the two against each
            other by up to half a pixel; False, the default, treats both
            alike.
        ratio_range: Bounds of q / p, see :func:`clipped_kl`.
        loss_weight: Factor of the loss.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: The bounds are not 0 < low < high, or the preset is
            unknown.
    """

    def __init__(
        self,
        params: CRFParams | str | Mapping[str, float] = 'weakclip_train',
        backend: str = 'auto',
        size: tuple[int, int] | None = (64, 64),
        *,
        align_corners: bool = False,
        ratio_range: Sequence[float] = (0.05, 20.0),
        loss_weight: float = 1.0,
        loss_name: str = 'loss_boundary',
    ) -> None:
        super().__init__()
        low, high = ratio_range
        if not 0 < low < high:
            raise ValueError(
                f'ratio_range must be 0 < low < high, got {ratio_range}'
            )
        self.params = resolve_crf_params(params)
        self.backend = backend
        self.size = None if size is None else tuple(size)
        self.align_corners = align_corners
        self.ratio_range = (low, high)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, logits: Tensor, images: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch, in float32, under autocast too.

        Args:
            logits: Shape (B, K, h, w).
            images: RGB in 0..255, not normalised, uint8 or float, shape
                (B, 3, H, W).
            mask: True where a pixel counts, bool, shape (B, H, W), to leave
                padding out of the mean. (The CRF still sees it.) None counts
                all, as published.

        Returns:
            Scalar; 0 if the mask is empty. NaN logits give NaN.
        """
        size = self.size or tuple(logits.shape[2:])
        logits = F.interpolate(
            logits.float(), size, mode='bilinear', align_corners=False
        )
        images = F.interpolate(
            images.float(),
            size,
            mode='bilinear',
            align_corners=self.align_corners,
        )
        probs = smoothed_softmax(logits)
        loss = clipped_kl(self._target(images, probs), probs, self.ratio_range)
        if mask is None:
            return self.loss_weight * loss.mean()
        counts = F.interpolate(mask[:, None].float(), size, mode='nearest')
        counts = counts[:, 0]
        loss = (counts * loss).sum() / counts.sum().clamp(min=1)
        return self.loss_weight * loss

    @torch.no_grad()
    def _target(self, images: Tensor, probs: Tensor) -> Tensor:
        """Return the marginals q, shape (B, K, H, W)."""
        # A NaN must come out as a NaN loss, which the training loop reports
        # with the images at fault, not as an error of the CRF.
        probs = probs.nan_to_num().clamp(min=MIN_PROB)
        q = dense_crf(images, probs, self.params, self.backend)
        q = q.clamp(min=MIN_PROB)
        return q / q.sum(dim=1, keepdim=True)
