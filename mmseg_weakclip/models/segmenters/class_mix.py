"""Paste sure objects of one image into another (ClassMix).

Olsson et al., "ClassMix: Segmentation-Based Data Augmentation for
Semi-Supervised Learning", WACV 2021, as BECO (Rong et al., "Boundary-enhanced
Co-training for Weakly Supervised Semantic Segmentation", CVPR 2023) has it for
noisy masks: the outline of what is pasted is known exactly, which masks made
from image labels never show.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.samples import shown_classes


class MixedBatch(NamedTuple):
    """Images with pasted objects, and what is known of their pixels.

    Attributes:
        images: (B, 3, H, W).
        labels: Class ids, (B, H, W); unsure pixels are ignored.
        outline: Whether a pixel is within one of the outline of what was
            pasted, bool (B, H, W).
        inside: Whether a pixel is of an image, not of its padding, bool
            (B, H, W).
    """

    images: Tensor
    labels: Tensor
    outline: Tensor
    inside: Tensor


def outline_of(regions: Tensor) -> Tensor:
    """Return the pixels at both sides of the edge of regions.

    Those that a dilation by 3 x 3 pixels has and an erosion has not. The
    image's own border is no edge.

    Args:
        regions: bool, (B, H, W).

    Returns:
        bool, (B, H, W).
    """
    planes = regions[:, None].float()
    # Max pooling pads with minus infinity, so nothing outside counts.
    grown = F.max_pool2d(planes, 3, stride=1, padding=1)
    shrunk = -F.max_pool2d(-planes, 3, stride=1, padding=1)
    return (grown > shrunk)[:, 0]


def choose_half(present: Tensor) -> Tensor:
    """Choose half of each image's foreground classes at random.

    Of an odd number the larger half, so that one class is chosen. Numbers come
    from torch's generator of the CPU.

    Args:
        present: Whether an image shows a class, bool (B, K); class 0 is the
            background, which is never chosen.

    Returns:
        bool, (B, K), on the device of ``present``.
    """
    order = torch.rand(present.shape).to(present.device)
    foreground = present.clone()
    foreground[:, 0] = False
    rank = order.masked_fill(~foreground, 2).argsort(1).argsort(1)
    half = (foreground.sum(1, keepdim=True) + 1) // 2
    return foreground & (rank < half)


def mix_classes(
    images: Tensor,
    probabilities: Tensor,
    inside: Tensor,
    threshold: float = 0.95,
    ignore_index: int = 255,
) -> MixedBatch:
    """Paste sure objects of each image into the one before it.

    Half of the classes that the network is sure of somewhere are pasted, where
    it is sure of them. The labels of the result are the network's own; pixels
    of which it is not sure are ignored.

    Args:
        images: (B, 3, H, W).
        probabilities: Those of the network, without gradient, (B, K, H, W).
        inside: Whether a pixel is of the image, not of its padding, bool
            (B, H, W).
        threshold: Probability above which the network is sure.
        ignore_index: Id of pixels of which it is not.

    Returns:
        The mixed batch. With one image it is pasted into itself, so nothing
        changes but the labels.
    """
    best, own = probabilities.max(1)
    sure = (best > threshold) & inside
    labels = own.masked_fill(~sure, ignore_index)
    partner = labels.roll(-1, 0)
    count = probabilities.shape[1]
    chosen = choose_half(shown_classes(partner, count, ignore_index))
    # Ignored pixels have a column of their own, which is never chosen.
    rows = partner.masked_fill(partner == ignore_index, count).flatten(1)
    pasted = F.pad(chosen, (0, 1)).gather(1, rows).view_as(partner)
    return MixedBatch(
        torch.where(pasted[:, None], images.roll(-1, 0), images),
        torch.where(pasted, partner, labels),
        outline_of(pasted),
        pasted | inside,
    )
