"""A network that sees an image at several scales, in training and in tests.

DeepLabV2 (Chen et al., "DeepLab", TPAMI 2018) as the field trains it: the
shared network sees the image at its own size and smaller, and the pixelwise
maximum of all outputs is one output more. The loss is the sum over the
outputs, for which the learning rate is tuned; it is not averaged.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from .plain_heads import check_plain_head


@MODELS.register_module()
class MultiScaleSegmentor(EncoderDecoder):
    """``EncoderDecoder`` with the maximum over several scales as its output.

    Images are resized bilinearly (``align_corners=False``). In training, each
    scale has its own loss on its own grid, to which labels are resized by the
    nearest pixel centre, and so has the maximum. Tests give the maximum, on
    the grid of the first scale.

    A training step of the scales 1, 0.75 and 0.5 computes 1.81 times as much
    as one of the first alone.

    Args:
        scales: Scales besides 1.
        kwargs: Arguments of ``EncoderDecoder``. The decode head must compute
            its loss and its prediction from its logits, as mmseg's
            ``BaseDecodeHead`` does; auxiliary heads see scale 1.

    Raises:
        ValueError: A scale is not positive, or there is none; or the decode
            head has a ``loss`` or ``predict`` of its own.
    """

    def __init__(
        self, *, scales: Sequence[float] = (0.75, 0.5), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_plain_head(self.decode_head, type(self).__name__)
        if not scales or not all(scale > 0 for scale in scales):
            raise ValueError(
                f'scales={scales!r} of MultiScaleSegmentor must be one or '
                'more positive numbers, those besides 1'
            )
        self.scales = tuple(scales)

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Compute the losses of all outputs; their sum is the loss.

        Args:
            inputs: Images, (B, 3, H, W).
            data_samples: Samples with ``gt_sem_seg`` (1, H, W), all of a size.

        Returns:
            ``decode.loss_*`` and ``decode.acc_seg`` of scale 1,
            ``decode_0.75.*`` and so on, ``decode_max.*``, and those of the
            auxiliary heads.
        """
        features = self.extract_feat(inputs)
        outputs = {'decode': self.decode_head.forward(features)}
        for scale in self.scales:
            outputs[f'decode_{scale:g}'] = self._see(inputs, scale)
        outputs['decode_max'] = _maximum(list(outputs.values()))
        losses: dict = {}
        labels = torch.stack([s.gt_sem_seg.data for s in data_samples])
        for name, logits in outputs.items():
            samples = _samples_at(labels, logits)
            found = self.decode_head.loss_by_feat(logits, samples)
            losses.update(add_prefix(found, name))
        if self.with_auxiliary_head:
            losses.update(
                self._auxiliary_head_forward_train(features, data_samples)
            )
        return losses

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """Return the maximum over the scales at the size of the images.

        Args:
            inputs: Images, (B, 3, H, W).
            batch_img_metas: Their metadata.

        Returns:
            Logits, (B, K, H, W).
        """
        logits = self._forward(inputs)
        return self.decode_head.predict_by_feat(logits, batch_img_metas)

    def _forward(
        self, inputs: Tensor, data_samples: SampleList | None = None
    ) -> Tensor:
        """Return the maximum over the scales on the grid of scale 1."""
        return _maximum([self._see(inputs, s) for s in (1, *self.scales)])

    def _see(self, inputs: Tensor, scale: float) -> Tensor:
        if scale != 1:
            inputs = F.interpolate(
                inputs,
                scale_factor=scale,
                mode='bilinear',
                align_corners=False,
            )
        return self.decode_head.forward(self.extract_feat(inputs))


def _maximum(outputs: list[Tensor]) -> Tensor:
    """Return the pixelwise maximum on the grid of the first output."""
    first, *others = outputs
    for other in others:
        resized = resize(
            other, first.shape[2:], mode='bilinear', align_corners=False
        )
        first = torch.maximum(first, resized)
    return first


def _samples_at(labels: Tensor, logits: Tensor) -> SampleList:
    """Return samples with labels, (B, 1, H, W), on the grid of logits."""
    rows, columns = (
        _centres(old, new, labels.device)
        for old, new in zip(labels.shape[2:], logits.shape[2:])
    )
    small = labels[:, :, rows[:, None], columns]
    return [SegDataSample(gt_sem_seg=PixelData(data=mask)) for mask in small]


def _centres(old: int, new: int, device: torch.device) -> Tensor:
    """Return the pixels of ``old`` under the centres of ``new``, as Pillow.

    In integers: ``F.interpolate`` rounds centres that fall between two pixels.
    """
    steps = torch.arange(new, device=device)
    return (2 * steps + 1) * old // (2 * new)
