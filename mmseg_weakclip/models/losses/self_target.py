"""A segmenter that later learns from its own confident predictions.

The labels of noisy masks are replaced, late in training, by what the network
itself is sure of, as in WeCLIP+ (TPAMI 2025) and, for the moment of the
change, ADELE (Liu et al., CVPR 2022).
"""

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from mmseg_weakclip.models.progress import training_progress
from mmseg_weakclip.models.samples import shown_classes


def confident_labels(
    logits: Tensor, labels: Tensor, threshold: float, ignore_index: int = 255
) -> Tensor:
    """Replace labels by the network's own classes where it is sure of them.

    An image can only get classes that its labels show somewhere, and the
    background 0: the masks are known to hold no class that the image's tags
    lack. Ignored pixels, padding among them, stay ignored.

    Args:
        logits: Class logits, (B, K, H, W); no gradient is kept.
        labels: Class ids, (B, H, W).
        threshold: Probability above which a pixel's own class is taken. It
            is that of the softmax over all K classes.
        ignore_index: Id of ignored pixels.

    Returns:
        Class ids, (B, H, W), of the type of ``labels``.
    """
    probabilities = logits.detach().float().softmax(1)
    valid = labels != ignore_index
    shown = shown_classes(labels, logits.shape[1], ignore_index)
    best, own = (probabilities * shown[..., None, None]).max(1)
    return torch.where(valid & (best > threshold), own.to(labels), labels)


@MODELS.register_module()
class SelfTargetLoss(nn.Module):
    """A loss whose labels become the network's own confident ones.

    It wraps any loss of a decode head, of any segmenter::

        loss_decode=dict(
            type='SelfTargetLoss', loss=dict(type='CrossEntropyLoss'))

    See :func:`confident_labels` for which labels change. The head needs a
    channel for each class, the background among them.

    Args:
        loss: Config of the loss; its ``loss_name`` is kept.
        start: Share of the training after which labels change (WeCLIP+: 0.6
            for VOC, 0.5 for COCO).
        threshold: Probability that makes a pixel's class its label.

    Raises:
        ValueError: ``start`` or ``threshold`` is not within 0..1.
    """

    def __init__(
        self, loss: ConfigType, start: float = 0.6, threshold: float = 0.75
    ) -> None:
        super().__init__()
        for name, value in (('start', start), ('threshold', threshold)):
            if not 0 <= value <= 1:
                raise ValueError(
                    f'{name}={value} of SelfTargetLoss must be between 0 and 1'
                )
        self.loss = MODELS.build(loss)
        self.start = start
        self.threshold = threshold

    @property
    def loss_name(self) -> str:
        """Key in the head's losses: that of the loss itself."""
        return self.loss.loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs,
    ) -> Tensor:
        """Return the loss.

        Args:
            pred: Logits at the size of the labels, (B, K, H, W).
            target: Class ids, (B, H, W).
            weight: Weights of pixels, (B, H, W); None for 1.
            ignore_index: Id of ignored pixels.
            kwargs: More arguments for the loss.

        Raises:
            ValueError: There is one channel, of a foreground alone.
        """
        # From the first step on, not when the labels begin to change.
        if pred.shape[1] == 1:
            raise ValueError(
                'SelfTargetLoss compares the probabilities of classes, and '
                'the decode head has one channel: set num_classes=2 and '
                'out_channels=2 (or leave it out) instead of out_channels=1'
            )
        if training_progress() >= self.start:
            target = confident_labels(
                pred, target, self.threshold, ignore_index
            )
        return self.loss(
            pred, target, weight=weight, ignore_index=ignore_index, **kwargs
        )
