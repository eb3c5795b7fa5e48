"""Dice loss over a batch, as in WeCLIP+ (TPAMI 2025)."""

from mmseg.registry import MODELS
from torch import Tensor, nn


def batch_dice(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int = 255,
    *,
    count_ignored: bool = False,
    eps: float = 1e-7,
) -> Tensor:
    """Return one minus the mean Dice coefficient of the classes.

    With the softmax p over classes, the labels' indicator y, and sums over
    all pixels of the batch::

        1 - mean_c 2 sum p_c y_c / (sum p_c + sum y_c + eps)

    A class without labels counts, as a coefficient of 0.

    Args:
        logits: Class logits, (B, K, H, W).
        labels: Class ids, (B, H, W).
        ignore_index: Id of ignored pixels, padding among them.
        count_ignored: Whether probabilities of ignored pixels count in the
            denominator, as in the published code.
        eps: Against a division by zero.

    Returns:
        float32 scalar in [0, 1].
    """
    valid = labels != ignore_index
    target = labels.long().masked_fill(~valid, 0)
    probabilities = logits.float().softmax(1)
    # Sums by class, without a table of all classes for each pixel.
    own = probabilities.gather(1, target[:, None])[:, 0] * valid
    nothing = own.new_zeros(logits.shape[1])
    place = target.flatten()
    both = nothing.scatter_add(0, place, own.flatten())
    labelled = nothing.scatter_add(0, place, valid.flatten().to(own))
    if not count_ignored:
        probabilities = probabilities * valid[:, None]
    total = probabilities.sum((0, 2, 3)) + labelled
    return 1 - (2 * both / (total + eps)).mean()


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """Loss of :func:`batch_dice`, for any decode head.

    Args:
        count_ignored: See :func:`batch_dice`.
        loss_weight: Factor of the loss.
        loss_name: Key in the head's losses.
    """

    def __init__(
        self,
        *,
        count_ignored: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_dice',
    ) -> None:
        super().__init__()
        self.count_ignored = count_ignored
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs,
    ) -> Tensor:
        """Return the weighted loss.

        Args:
            pred: Logits, (B, K, H, W).
            target: Class ids, (B, H, W).
            weight: Must be None.
            ignore_index: Id of ignored pixels.
            kwargs: Not used.

        Raises:
            ValueError: There are weights of pixels.
        """
        if weight is not None:
            raise ValueError('BatchDiceLoss knows no weights of pixels')
        return self.loss_weight * batch_dice(
            pred, target, ignore_index, count_ignored=self.count_ignored
        )
