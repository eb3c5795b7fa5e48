"""Balanced seed loss of DSRG, as in WeakCLIP.

Huang et al., "Weakly-Supervised Semantic Segmentation Network with Deep
Seeded Region Growing" (CVPR 2018).
"""

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmseg.registry import MODELS
from torch import Tensor, nn

from .functional import smoothed_softmax


def balanced_seed_loss(
    logits: Tensor,
    seeds: Tensor,
    ignore_index: int = 255,
    weight: Tensor | None = None,
) -> Tensor:
    """Add the means of -log p over background and foreground seeds.

    With seeds S_0 of the background and S_c of class c >= 1, and p the
    smoothed softmax::

        - sum_{S_0} log p_0 / |S_0|
        - sum_{c >= 1} sum_{S_c} log p_c / sum_{c >= 1} |S_c|

    A side without seeds adds 0. So the few foreground pixels weigh as much
    as the many background pixels.

    Args:
        logits: Shape (B, K, H, W), K >= 2 with background as class 0.
        seeds: Class ids 0..K-1 or ``ignore_index``, integer, shape
            (B, H, W).
        ignore_index: Id of pixels without a seed.
        weight: Weights >= 0 of the pixels in the two means, shape (B, H, W).

    Returns:
        One value per image, >= 0, float32, shape (B,).

    Raises:
        ValueError: Shapes do not match, or a seed has an id that is neither
            a class nor ``ignore_index``.
    """
    if seeds.shape != (len(logits), *logits.shape[2:]):
        raise ValueError(
            f'seeds {tuple(seeds.shape)} do not match logits '
            f'{tuple(logits.shape)}: set a size, or resize them'
        )
    count_empty_seeds(seeds, logits.shape[1], ignore_index)
    return _seed_loss(logits, seeds, ignore_index, weight)


def _seed_loss(
    logits: Tensor, seeds: Tensor, ignore_index: int, weight: Tensor | None
) -> Tensor:
    """Return :func:`balanced_seed_loss` of seeds that have been checked."""
    valid = seeds != ignore_index
    target = seeds.long().masked_fill(~valid, 0)
    probs = smoothed_softmax(logits).gather(1, target[:, None])[:, 0]
    nll = -probs.log()
    amount = valid.float() if weight is None else valid * weight.float()
    loss = nll.new_zeros(len(logits))
    for side in (target == 0, target > 0):
        share = (amount * side).flatten(1)
        total = share.sum(1)
        mean = (share * nll.flatten(1)).sum(1) / total.clamp(min=1e-4)
        loss = loss + mean
    return loss


def count_empty_seeds(
    seeds: Tensor, num_classes: int, ignore_index: int = 255
) -> int:
    """Check the ids of seeds, and count the images that have none.

    The device is waited for once.

    Args:
        seeds: Class ids, (B, H, W).
        num_classes: Number of classes K.
        ignore_index: Id of pixels without a seed.

    Returns:
        Number of images with ignored pixels only.

    Raises:
        ValueError: An id is neither a class nor ``ignore_index``.
    """
    valid = seeds != ignore_index
    unknown = valid & ((seeds < 0) | (seeds >= num_classes))
    empty = ~valid.flatten(1).any(1)
    num_unknown, num_empty = torch.stack([unknown.sum(), empty.sum()]).tolist()
    if num_unknown:
        raise ValueError(
            f'seeds hold the ids {seeds[unknown].unique().tolist()}, but the '
            f'logits have classes 0..{num_classes - 1} and {ignore_index} is '
            'ignored: check the class list and the encoding of the seeds'
        )
    return num_empty


@MODELS.register_module()
class CAMSeedLoss(nn.Module):
    """Mean of :func:`balanced_seed_loss` over the batch.

    It has the signature of mmseg's losses, so any decode head takes it as
    ``loss_decode``. An image whose seed has only ignored pixels adds nothing;
    the first one is logged as a warning.

    Args:
        size: Height and width at which the loss is computed: logits are
            resized bilinearly, seeds by nearest neighbour. WeakCLIP has
            (64, 64). None takes the size of the logits, which stock heads
            first enlarge to that of the seeds.
        loss_weight: Factor of the loss.
        loss_name: Key in the head's losses; a name without ``loss`` is
            logged but not trained on.
    """

    def __init__(
        self,
        size: tuple[int, int] | None = (64, 64),
        loss_weight: float = 1.0,
        loss_name: str = 'loss_seed',
    ) -> None:
        super().__init__()
        self.size = None if size is None else tuple(size)
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self._warned = False

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Return the loss of a batch.

        Args:
            pred: Logits, shape (B, K, h, w).
            target: Seeds, shape (B, H, W); see :func:`balanced_seed_loss`.
            weight: Weights of the pixels, shape (B, H, W).
            ignore_index: Id of pixels without a seed.

        Returns:
            Scalar, float32.
        """
        size = self.size or tuple(pred.shape[2:])
        # Before the resize: float16 logits are interpolated in float32.
        logits = F.interpolate(
            pred.float(), size, mode='bilinear', align_corners=False
        )
        seeds = _nearest(target, size).long()
        if weight is not None:
            weight = _nearest(weight, size)
        empty = count_empty_seeds(seeds, logits.shape[1], ignore_index)
        if empty and not self._warned:
            self._warned = True
            MMLogger.get_current_instance().warning(
                f'{self.loss_name}: {empty} of {len(seeds)} images have no '
                f'seed, only pixels with the ignored id {ignore_index}. They '
                'add nothing to the loss. Logged once; tools/check_dataset.py '
                'finds all such seeds'
            )
        loss = _seed_loss(logits, seeds, ignore_index, weight)
        return self.loss_weight * loss.mean()


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, H, W) to (B, *size) by nearest neighbour, as float32."""
    return F.interpolate(maps[:, None].float(), size, mode='nearest')[:, 0]
