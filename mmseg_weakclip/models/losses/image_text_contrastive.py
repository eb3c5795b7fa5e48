"""Contrast of images and their captions (CLIP, ICML 2021; SegCLIP, ICML 2023).

Symmetric InfoNCE: the cross entropy of ``scale * cos(image, text)`` for each
image over all texts of the batch, and for each text over all images.
"""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_dist_info
from mmseg.registry import MODELS
from open_clip import ClipLoss
from torch import Tensor, nn


def equal_text_targets(text_ids: Tensor, all_text_ids: Tensor) -> Tensor:
    """Return targets that are shared equally by samples of the same text.

    Args:
        text_ids: Ids of the texts of the rows, equal for equal texts, (B,).
        all_text_ids: Ids of the texts of the columns, (M,); they include
            those of the rows.

    Returns:
        float32, (B, M); rows sum to 1.
    """
    same = (text_ids[:, None] == all_text_ids).float()
    return same / same.sum(1, keepdim=True)


def check_equal_batches(size: int, device: torch.device) -> None:
    """Raise an error on every rank if batch sizes differ between ranks.

    Gathering unequal numbers of embeddings hangs, or silently mixes up
    ranks. The exchange of the sizes, one integer a rank, is cheap, but the
    host waits for the device.

    Args:
        size: Batch size of this rank.
        device: Device of the batch.

    Raises:
        ValueError: The batch sizes of the ranks differ.
    """
    sizes = torch.cat(all_gather(torch.tensor([size], device=device)))
    if (sizes != size).any():
        raise ValueError(
            f'ranks have batches of {sizes.tolist()} samples, but texts are '
            'gathered from batches of equal size: set drop_last=True in the '
            'dataloader or use an infinite sampler, or set gather=False'
        )


@MODELS.register_module()
class ImageTextContrastiveLoss(nn.Module):
    """Symmetric contrast of a batch of images and its texts.

    With several ranks, each contrasts its own samples with those of all
    ranks, and gradients flow back to the rank of each embedding. The mean of
    the gradients over ranks, as data-parallel training takes it, equals that
    of one process with the whole batch.

    Args:
        gather: Whether the samples of all ranks are contrasted, or only
            those of the same rank.
        same_text: How two samples with the same text are treated.
            ``'negative'``, as published: every other sample is a negative,
            even one with an equal text. ``'positive'``: the target is shared
            equally among all samples of that text. The least value is then
            the entropy of the targets, log k for k equal texts.
        loss_weight: Factor of the loss; SegCLIP has 1.
        loss_name: Key in the head's losses.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        *,
        gather: bool = True,
        same_text: str = 'negative',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_contrastive',
    ) -> None:
        super().__init__()
        if same_text not in ('negative', 'positive'):
            raise ValueError(
                f"same_text={same_text!r} must be 'negative' or 'positive'"
            )
        self.gather = gather
        self.same_text = same_text
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        image: Tensor,
        text: Tensor,
        scale: Tensor,
        text_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch, in float32, under autocast too.

        Args:
            image: Image embeddings of any length above 0, (B, E).
            text: Embeddings of the images' texts, (B, E).
            scale: Factor of the cosines, the inverse temperature itself, not
                its logarithm; a scalar. CLIP's is at most 100.
            text_ids: Integers, equal for equal texts and for those only, on
                all ranks alike, (B,). Needed by ``same_text='positive'``.

        Returns:
            Scalar, float32; 0 if the batch of all ranks is one sample.

        Raises:
            ValueError: Shapes disagree, ranks have batches of unequal size,
                or ids are missing.
        """
        self._check(image, text, text_ids)
        rank, world_size = get_dist_info() if self.gather else (0, 1)
        if world_size > 1:
            check_equal_batches(len(image), image.device)
        contrast = ClipLoss(
            local_loss=True,
            gather_with_grad=True,
            rank=rank,
            world_size=world_size,
        )
        with torch.autocast(image.device.type, enabled=False):
            features = (
                F.normalize(image.float(), dim=1),
                F.normalize(text.float(), dim=1),
                scale.float(),
            )
            if self.same_text == 'negative':
                return self.loss_weight * contrast(*features)
            targets = self._targets(text_ids.to(image.device), world_size)
            losses = [
                F.cross_entropy(logits, targets)
                for logits in contrast.get_logits(*features)
            ]
            return self.loss_weight * sum(losses) / 2

    def _targets(self, text_ids: Tensor, world_size: int) -> Tensor:
        """Return targets over the samples of all ranks, (B, world * B)."""
        text_ids = text_ids.long()
        everywhere = all_gather(text_ids) if world_size > 1 else [text_ids]
        return equal_text_targets(text_ids, torch.cat(everywhere))

    def _check(
        self, image: Tensor, text: Tensor, text_ids: Tensor | None
    ) -> None:
        if image.ndim != 2 or image.shape != text.shape or not len(image):
            raise ValueError(
                'image and text must both have shape (B, E) with B > 0, got '
                f'{tuple(image.shape)} and {tuple(text.shape)}'
            )
        if self.same_text == 'negative':
            return
        if text_ids is None:
            raise ValueError(
                "same_text='positive' needs text_ids, integers that are "
                'equal for equal texts'
            )
        if text_ids.shape != image.shape[:1]:
            raise ValueError(
                f'{len(image)} samples need text_ids of shape '
                f'{(len(image),)}, got {tuple(text_ids.shape)}'
            )
