"""Cross-entropy with background and foreground of equal weight (ExCEL, AFA).

AFA (CVPR 2022), WeCLIP (CVPR 2024) and ExCEL (CVPR 2025) train on
``(mean over background + mean over foreground) / 2``; WeCLIP's becomes NaN
where one of them is empty, here it is zero then.
"""

import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn


def balanced_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int = 255,
    weight: Tensor | None = None,
) -> Tensor:
    """Average the mean over background and the mean over foreground.

    Args:
        logits: Class logits, (B, K, H, W), class 0 is the background.
        labels: Class ids or ``ignore_index``, (B, H, W).
        ignore_index: Id of pixels that are in neither mean.
        weight: Weights >= 0 of the pixels in the two means, (B, H, W).

    Returns:
        Scalar, float32, over the whole batch; a half without pixels is 0.
    """
    nll = F.cross_entropy(
        logits.float(),
        labels.long(),
        ignore_index=ignore_index,
        reduction='none',
    )
    amount = (labels != ignore_index).float()
    if weight is not None:
        amount = amount * weight.float()
    loss = nll.new_zeros(())
    for side in (labels == 0, labels > 0):
        share = amount * side
        # An empty side: 0 / 1. A fraction of a pixel by weight is no less.
        total = share.sum()
        loss = loss + (share * nll).sum() / total.where(total > 0, 1)
    return loss / 2


@MODELS.register_module()
class BalancedCELoss(nn.Module):
    """Balanced cross-entropy, a ``loss_decode`` of any decode head.

    See :func:`balanced_cross_entropy`.

    Args:
        loss_weight: Factor of the loss.
        loss_name: Key in the head's losses.
    """

    def __init__(
        self, loss_weight: float = 1.0, loss_name: str = 'loss_ce'
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Return the weighted :func:`balanced_cross_entropy`."""
        return self.loss_weight * balanced_cross_entropy(
            pred, target, ignore_index, weight
        )
