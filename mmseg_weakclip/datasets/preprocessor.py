"""Data preprocessor that keeps the image for losses on colours."""

from typing import Any

import torch
from mmengine.structures import BaseDataElement, PixelData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional as F

CHANNELS = 3
# Superpixel id of padding.
OUTSIDE = -1


@MODELS.register_module()
class WeakSegDataPreProcessor(SegDataPreProcessor):
    """mmseg's preprocessor that adds the image to training samples.

    ``sample.img`` is a PixelData whose ``data`` is the RGB image that the
    network sees, augmented and padded, (3, H, W), in 0..255, on the
    network's device. It is recovered from the normalised batch, so padding
    has the colour that stands for ``pad_val`` there: the mean colour for 0.
    In uint8 that colour is rounded; in float32 it is exact, and normalises
    to exactly 0 again.

    Superpixels of a sample are padded like its image, with -1.

    Images come from the pipeline as BGR, mmcv's order, unless ``rgb_to_bgr``
    says that they are RGB.

    Args:
        bgr_to_rgb: Whether to turn BGR images into RGB.
        image_dtype: Type of ``sample.img``, ``'uint8'`` or ``'float32'``.
        kwargs: Further arguments of mmseg's SegDataPreProcessor.

    Raises:
        ValueError: ``image_dtype`` has another value.
    """

    def __init__(
        self,
        *,
        bgr_to_rgb: bool = False,
        image_dtype: str = 'uint8',
        **kwargs: Any,
    ) -> None:
        super().__init__(bgr_to_rgb=bgr_to_rgb, **kwargs)
        if image_dtype not in ('uint8', 'float32'):
            raise ValueError(
                f"image_dtype={image_dtype!r} must be 'uint8' or 'float32'"
            )
        self.image_dtype = image_dtype
        self._network_is_bgr = not bgr_to_rgb
        # The base takes the channels by a list, which it uploads each time.
        self._flips_channels = bgr_to_rgb or kwargs.get('rgb_to_bgr', False)
        self._channel_conversion = False

    def forward(  # its base's signature
        self,
        data: dict,
        training: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[str, Any]:
        """Normalise and pad a batch.

        Args:
            data: ``inputs``, images (3, H, W) of one batch, and
                ``data_samples``.
            training: Whether to attach the images.

        Returns:
            ``inputs``, (B, 3, H, W), and ``data_samples``.
        """
        data = self.cast_data(data)
        if self._flips_channels:
            data['inputs'] = [
                image.flip(0) if len(image) == CHANNELS else image
                for image in data['inputs']
            ]
        data = super().forward(data, training)
        if training:
            images = self._recover(data['inputs'])
            for sample, image in zip(data['data_samples'], images):
                sample.set_data({'img': PixelData(data=image)})
                if 'superpixels' in sample:
                    self._pad_superpixels(sample, image.shape[-2:])
        return data

    def cast_data(self, data: Any) -> Any:
        """Copy data to the network's device, without waiting for it.

        Copies from ordinary memory would wait for all that the device was
        asked for before.

        Args:
            data: Tensors and samples, nested in any way.
        """
        movable = isinstance(data, (Tensor, BaseDataElement))
        if movable and self.device.type == 'cuda':
            return _pin(data).to(self.device, non_blocking=True)
        return super().cast_data(data)

    def _pad_superpixels(
        self, sample: SegDataSample, size: tuple[int, int]
    ) -> None:
        ids = sample.superpixels.data
        height, width = (new - old for new, old in zip(size, ids.shape[-2:]))
        data = F.pad(ids, (0, width, 0, height), value=OUTSIDE)
        sample.set_data({'superpixels': PixelData(data=data)})

    @torch.no_grad()
    def _recover(self, inputs: Tensor) -> Tensor:
        """Turn normalised images into RGB in 0..255, both (B, 3, H, W)."""
        if inputs.shape[1] != CHANNELS:
            raise ValueError(
                f'Colour images are needed, the batch has {inputs.shape[1]} '
                'channels.'
            )
        if self._enable_normalize:
            inputs = inputs * self.std + self.mean
        if self._network_is_bgr:
            inputs = inputs.flip(1)
        inputs = inputs.clamp(0, 255)
        if self.image_dtype == 'float32':
            return inputs
        return inputs.round().to(torch.uint8)


def _pin(data: Any) -> Any:
    """Return a tensor, or a sample with all its tensors, in pinned memory.

    Other values, and tensors on a device, are returned as they are.
    """
    if isinstance(data, Tensor):
        return data if data.is_cuda else data.pin_memory()
    if not isinstance(data, BaseDataElement):
        return data
    pinned = data.new()
    for name, value in data.items():
        pinned.set_data({name: _pin(value)})
    return pinned
