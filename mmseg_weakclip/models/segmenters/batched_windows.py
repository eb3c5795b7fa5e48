"""Sliding windows that go through the network together.

mmseg's ``slide_inference`` runs the network on one window after the other,
which leaves a GPU idle with CLIP's small windows, and pads the logits of each
to the size of the image before it adds them.
"""

import itertools

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn.modules.utils import _pair


def window_boxes(
    size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """Return the windows of an image, row by row, as mmseg cuts them.

    The last window of a row or column is moved inwards. An image that is
    smaller than a window is one window along that side.

    Args:
        size: Height and width of the image.
        crop: Height and width of a window.
        stride: Steps from one window to the next, down and to the right.

    Returns:
        Rows and columns of each window; all have the same size.

    Raises:
        ValueError: A step is larger than a window, or not above 0.
    """
    if not all(0 < jump <= window for jump, window in zip(stride, crop)):
        raise ValueError(
            f'stride={tuple(stride)} of sliding windows must be above 0 and '
            f'at most crop_size={tuple(crop)}: pixels would be left out'
        )
    starts = [
        [
            max(0, min(step * jump + window, side) - window)
            for step in range(max(0, -(-(side - window) // jump)) + 1)
        ]
        for side, window, jump in zip(size, crop, stride)
    ]
    return [
        (
            slice(y, min(y + crop[0], size[0])),
            slice(x, min(x + crop[1], size[1])),
        )
        for y, x in itertools.product(*starts)
    ]


@MODELS.register_module()
class BatchedEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` whose windows are batched at test time.

    ``test_cfg=dict(mode='slide', crop_size=..., stride=...,
    batch_pixels=2**20)`` lets as many windows of the images of a batch go
    through the network together as have that number of pixels, and at least
    one. Without ``batch_pixels`` it is one at a time. Results are those of
    mmseg's segmentor but for rounding.
    """

    def slide_inference(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """Return the mean logits of all windows over each pixel.

        Args:
            inputs: Images, (B, 3, H, W).
            batch_img_metas: Meta information of each image.

        Returns:
            (B, K, H, W).
        """
        batch, size = len(inputs), tuple(inputs.shape[2:])
        boxes = window_boxes(
            size,
            _pair(self.test_cfg.crop_size),
            _pair(self.test_cfg.stride),
        )
        at_once = self.windows_at_once(batch, boxes[0])
        total = inputs.new_zeros(batch, self.out_channels, *size)
        count = inputs.new_zeros(1, 1, *size)
        for first in range(0, len(boxes), at_once):
            some = boxes[first : first + at_once]
            windows = torch.cat([inputs[..., y, x] for y, x in some])
            metas = [
                # mmseg's heads know a window by this type of its size.
                dict(meta, img_shape=windows.shape[2:])
                for _ in some
                for meta in batch_img_metas
            ]
            logits = self.encode_decode(windows, metas)
            for (y, x), part in zip(some, logits.split(batch)):
                total[..., y, x] += part
                count[..., y, x] += 1
        return total.div_(count)

    def windows_at_once(self, batch: int, box: tuple[slice, slice]) -> int:
        """Return how many windows of each image go through together.

        Args:
            batch: Number of images.
            box: Rows and columns of the first window.
        """
        rows, columns = box
        pixels = batch * rows.stop * columns.stop
        return max(1, self.test_cfg.get('batch_pixels', 0) // pixels)
