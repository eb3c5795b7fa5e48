"""Segmentors as one function of images, for use without mmseg."""

import json
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models import BaseSegmentor, SegDataPreProcessor
from torch import Tensor, nn

from mmseg_weakclip.engine.loading import TrainedSegmentor
from mmseg_weakclip.models.segmenters.zero_shot import ZeroShotSegmentor
from mmseg_weakclip.version import __version__

from .traceable import make_traceable

OUTPUTS = ('logits', 'probabilities', 'mask')


class ExportError(ValueError):
    """A model that cannot be exported, with the reason."""


class LabelFreeMeta(dict):
    """Meta data of an image at run time: its size alone.

    Raises an error when a head, of any type, asks for image labels: such a
    head cannot be exported.
    """

    def __contains__(self, key: object) -> bool:
        if key == 'image_labels':
            raise ExportError(
                'its prediction needs the image labels of each image, which '
                'an exported file does not get; export the segmenter that '
                'was trained on its masks'
            )
        return super().__contains__(key)


class ExportSegmenter(nn.Module):
    """Segmentor from raw images to predictions of the same size.

    Normalisation, padding to a multiple of ``size_divisor`` and its removal
    are inside. Whole images are predicted; sliding windows are left to the
    caller, who may cut them from an image of any size.

    Args:
        model: Segmentor with ``encode_decode``, such as ``EncoderDecoder``;
            it is copied.
        output: ``'logits'``: logits of the model, (B, K, H, W);
            ``'probabilities'``: their softmax, or sigmoid where there is one
            channel; ``'mask'``: class ids, uint8, (B, H, W).
        is_rgb: Whether the network takes RGB; otherwise channels are
            reversed.

    Raises:
        ExportError: The model is of another kind, has more classes than
            fit into a mask, pads in a way that is not supported, or refines
            what its network predicts.
    """

    mean: Tensor
    std: Tensor
    threshold: float | None

    def __init__(
        self,
        model: BaseSegmentor,
        output: str = 'logits',
        *,
        is_rgb: bool = True,
    ) -> None:
        super().__init__()
        if output not in OUTPUTS:
            raise ExportError(f'output={output!r} must be one of {OUTPUTS}')
        if not hasattr(model, 'encode_decode'):
            raise ExportError(
                f'a {type(model).__name__} has no encode_decode, by which '
                'EncoderDecoder and its kind predict logits'
            )
        if isinstance(model, ZeroShotSegmentor):
            _refuse_steps(model)
        if output == 'mask' and model.out_channels > 256:
            raise ExportError(
                f'{model.out_channels} classes do not fit into a mask of one '
                "byte per pixel; take output='logits'"
            )
        preprocessor: Any = model.data_preprocessor
        if not isinstance(preprocessor, SegDataPreProcessor):
            raise ExportError(
                f'its data_preprocessor is a {type(preprocessor).__name__}, '
                'not a SegDataPreProcessor'
            )
        self.divisor, self.pad_value = _padding(preprocessor)
        self.output = output
        self.is_rgb = is_rgb
        self.is_binary = model.out_channels == 1
        head: Any = model.decode_head
        head = head[-1] if isinstance(head, nn.ModuleList) else head
        self.threshold = head.threshold
        # Models without mean and std get 0 and 1: no branch at run time.
        for name, default in (('mean', 0.0), ('std', 1.0)):
            value = getattr(preprocessor, name, torch.full((3, 1, 1), default))
            self.register_buffer(name, value.clone())
        self.model: Any = make_traceable(deepcopy(model))
        self.eval()

    def train(self, mode: bool = True) -> 'ExportSegmenter':  # noqa: FBT001, FBT002
        """Stay in evaluation mode."""
        return super().train(mode=False)

    def forward(self, images: Tensor) -> Tensor:
        """Predict images of one size.

        Args:
            images: RGB images, float32, 0..255, (B, 3, H, W).

        Returns:
            Logits or probabilities, (B, K, H, W), or a mask, uint8, (B, H, W).

        Raises:
            ExportError: A head asks for image labels.
        """
        height, width = images.shape[2:]
        x = images if self.is_rgb else images.flip(1)
        x = (x - self.mean) / self.std
        if self.divisor > 1:
            amounts = (0, -width % self.divisor, 0, -height % self.divisor)
            x = F.pad(x, amounts, value=self.pad_value)
        # mmseg's heads look at the first image for the size of the batch.
        meta = LabelFreeMeta(img_shape=(x.shape[2], x.shape[3]))
        logits = self.model.encode_decode(x, [meta])
        if self.divisor > 1:
            logits = logits[:, :, :height, :width]
        return self._finish(logits)

    def _finish(self, logits: Tensor) -> Tensor:
        if self.output == 'logits':
            return logits
        if self.is_binary:
            probabilities = logits.sigmoid()
            if self.output == 'probabilities':
                return probabilities
            if self.threshold is None:
                raise ExportError('a head of one channel needs a threshold')
            return (probabilities > self.threshold)[:, 0].to(torch.uint8)
        if self.output == 'probabilities':
            return logits.softmax(1)
        return logits.argmax(1).to(torch.uint8)


def _refuse_steps(model: ZeroShotSegmentor) -> None:
    """Refuse what a zero-shot segmentor does around its network."""
    steps = []
    if model.refine:
        names = ', '.join(type(step).__name__ for step in model.refine)
        steps.append(f'refine ({names})')
    if model.regions is not None:
        steps.append('regions')
    if model.windows == 'joint':
        steps.append("windows='joint'")
    if steps:
        raise ExportError(
            f'its {" and ".join(steps)} work outside the network, on all '
            'windows of an image or on files beside it, and would be missing '
            'in the file; leave them out (refine=None, regions=None, '
            "windows='apart') to export the network alone"
        )


def _padding(preprocessor: SegDataPreProcessor) -> tuple[int, float]:
    """Return the divisor and the value of the padding at test time."""
    settings: dict[str, Any] = preprocessor.test_cfg or {}
    if settings.get('size') is not None:
        raise ExportError(
            'its data_preprocessor pads to test_cfg.size='
            f'{tuple(settings["size"])}; only size_divisor is supported'
        )
    return settings.get('size_divisor') or 1, float(preprocessor.pad_val)


def describe_export(
    source: TrainedSegmentor, segmenter: ExportSegmenter
) -> dict[str, str]:
    """Return the metadata of an exported file; lists are JSON.

    Args:
        source: Trained segmentor.
        segmenter: Exported copy of it.
    """
    mean, std = (
        value.flatten().tolist() for value in (segmenter.mean, segmenter.std)
    )
    if not source.is_rgb:
        mean, std = mean[::-1], std[::-1]
    return dict(
        classes=json.dumps(source.classes),
        palette=json.dumps(source.palette),
        input='RGB, float32, 0 to 255, (batch, 3, height, width)',
        output=segmenter.output,
        mean=json.dumps(mean),
        std=json.dumps(std),
        size_divisor=str(segmenter.divisor),
        test_cfg=json.dumps(source.model.test_cfg),
        config=source.config,
        mmseg_weakclip=__version__,
    )
