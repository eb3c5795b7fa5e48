"""The losses of a decode head, and its accuracy, on labels of pixels."""

from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor, nn

# Makes the accuracy of a batch without a labelled pixel 100, as in mmseg.
EPS = torch.finfo(torch.float32).eps


def pixel_accuracy(
    logits: Tensor, labels: Tensor, ignore_index: int = 255
) -> Tensor:
    """Return the share of pixels whose largest logit is that of their label.

    mmseg's accuracy, which selects the labelled pixels, waits for the device
    to know their number; here they are counted.

    Args:
        logits: Class logits, (B, K, H, W).
        labels: Class ids, (B, H, W).
        ignore_index: Id of pixels that do not count.

    Returns:
        Percentage, float32, a scalar; 100 where no pixel counts.
    """
    valid = labels != ignore_index
    correct = (logits.argmax(1) == labels) & valid
    return 100 * (correct.sum() + EPS) / (valid.sum() + EPS)


def decode_losses(
    head: BaseDecodeHead, logits: Tensor, samples: SampleList
) -> dict[str, Tensor]:
    """Return what ``BaseDecodeHead.loss_by_feat`` does, without a wait.

    Args:
        head: Head with ``loss_decode``, ``sampler``, ``ignore_index`` and
            ``align_corners``.
        logits: Its logits, (B, K, h, w), enlarged to the size of the labels.
        samples: Samples with labels in ``gt_sem_seg``.

    Returns:
        Losses by name, and ``acc_seg``; see :func:`pixel_accuracy`.
    """
    labels = head._stack_batch_gt(samples)
    logits = resize(
        logits,
        labels.shape[2:],
        mode='bilinear',
        align_corners=head.align_corners,
    )
    weight = head.sampler and head.sampler.sample(logits, labels)
    labels = labels.squeeze(1)
    result: dict[str, Tensor] = {}
    for loss in _losses(head):
        value = loss(
            logits, labels, weight=weight, ignore_index=head.ignore_index
        )
        # Losses of one name are added.
        name = loss.loss_name
        result[name] = result[name] + value if name in result else value
    result['acc_seg'] = pixel_accuracy(logits, labels, head.ignore_index)
    return result


def _losses(head: BaseDecodeHead) -> Sequence[nn.Module]:
    several = isinstance(head.loss_decode, nn.ModuleList)
    return head.loss_decode if several else [head.loss_decode]
