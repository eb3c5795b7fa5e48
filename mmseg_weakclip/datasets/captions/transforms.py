"""Transforms that crop and pack images with captions."""

import math
from collections.abc import Sequence

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

ATTEMPTS = 10
# Interpolations of bytes that PyTorch has.
FAST = ('bilinear', 'bicubic')
META_KEYS = ('img_path', 'img_id', 'ori_shape', 'img_shape', 'pad_shape',
             'scale_factor', 'flip', 'flip_direction')  # fmt: skip


def resize_nearest(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize ids by the nearest neighbour between pixel centres.

    This is Pillow's rule. OpenCV's ``INTER_NEAREST`` takes the upper left
    neighbour, which moves an enlarged image by half a pixel.

    Args:
        ids: Ids of any type, (h, w).
        size: H and W of the result.

    Returns:
        Ids of the same type, (H, W).
    """
    # Whole numbers: a centre may fall right between two pixels.
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size, ids.shape)
    )
    # One after the other is up to eight times as fast as both at once.
    return ids.take(columns, axis=1).take(rows, axis=0)


def resize_smoothly(
    image: np.ndarray, size: tuple[int, int], interpolation: str
) -> np.ndarray:
    """Resize an image as Pillow does, which smooths images that it shrinks.

    Bytes that are interpolated linearly or cubically go through PyTorch,
    whose way is that of Pillow in a sixth of the time; the results
    differ by rounding, one grey level and rarely two.

    Args:
        image: Colours of any type, (h, w, 3).
        size: H and W of the result.
        interpolation: Name of the rule in mmcv.

    Returns:
        Colours of the same type, (H, W, 3).
    """
    # A flipped image has strides that PyTorch does not take.
    image = np.ascontiguousarray(image)
    if image.dtype == np.uint8 and interpolation in FAST:
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        resized = F.interpolate(
            planes, size, mode=interpolation, antialias=True
        )
        return resized[0].permute(1, 2, 0).contiguous().numpy()
    return mmcv.imresize(
        image,
        size[::-1],
        interpolation=interpolation,
        backend='pillow',
    )


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Cut a random part out of an image and resize it to a fixed size.

    All ``seg_fields`` (masks, superpixels) are cut and resized alike, by the
    nearest neighbour. The image is resized as by Pillow, which, unlike
    OpenCV, smooths images that it shrinks.

    Source: C. Szegedy et al., "Going deeper with convolutions", CVPR 2015,
    section 6; as in torchvision: ten attempts, then the largest crop in the
    centre that keeps to ``ratio``.

    Args:
        crop_size: H and W of the result.
        scale: Smallest and largest area of the part, as shares of the
            image's, in (0, 1].
        ratio: Smallest and largest width over height of the part; drawn
            evenly on a logarithmic scale.
        interpolation: Interpolation of the image: 'nearest', 'bilinear',
            'bicubic', 'box', 'lanczos' or 'hamming'.

    Raises:
        ValueError: A range is empty or not positive.
    """

    def __init__(
        self,
        crop_size: tuple[int, int],
        scale: tuple[float, float] = (0.5, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = 'bicubic',
    ) -> None:
        for name, values in (
            ('crop_size', sorted(crop_size)),
            ('scale', scale),
            ('ratio', ratio),
        ):
            if len(values) != 2 or not 0 < values[0] <= values[1]:
                raise ValueError(
                    f'RandomResizedCrop needs two positive numbers as {name}, '
                    f'the smaller one first, not {values}.'
                )
        if scale[1] > 1:
            raise ValueError(
                f'RandomResizedCrop has scale={scale}: a part is not larger '
                'than the whole.'
            )
        self.crop_size = crop_size[0], crop_size[1]
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.interpolation = interpolation

    @cache_randomness
    def draw_box(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Draw top, left, height and width of a random part.

        Args:
            shape: H and W of the image.
        """
        height, width = shape
        (smallest, largest), (low, high) = self.scale, self.ratio
        for _ in range(ATTEMPTS):
            share = np.random.uniform(smallest, largest)  # noqa: NPY002
            area = height * width * share
            ratio = math.exp(
                np.random.uniform(math.log(low), math.log(high))  # noqa: NPY002
            )
            h = round(math.sqrt(area / ratio))
            w = round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                top = np.random.randint(height - h + 1)  # noqa: NPY002
                left = np.random.randint(width - w + 1)  # noqa: NPY002
                return int(top), int(left), h, w
        ratio = min(max(width / height, low), high)
        h = min(height, max(round(width / ratio), 1))
        w = min(width, max(round(height * ratio), 1))
        return (height - h) // 2, (width - w) // 2, h, w

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape`` and all ``seg_fields``.

        Raises:
            ValueError: A field has another size than the image.
        """
        image = results['img']
        shape = image.shape[:2]
        top, left, h, w = self.draw_box(shape)
        part = np.s_[top : top + h, left : left + w]
        for key in results.get('seg_fields', []):
            if results[key].shape[:2] != shape:
                raise ValueError(
                    f'{key} of {results["img_path"]} is '
                    f'{results[key].shape[:2]}, but the image is {shape}: '
                    'some transform before RandomResizedCrop did not change '
                    'both.'
                )
            results[key] = resize_nearest(results[key][part], self.crop_size)
        results['img'] = resize_smoothly(
            image[part], self.crop_size, self.interpolation
        )
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(crop_size={self.crop_size}, '
            f'scale={self.scale}, ratio={self.ratio}, '
            f'interpolation={self.interpolation!r})'
        )


@TRANSFORMS.register_module()
class PackCaptionInputs(PackSegInputs):
    """Pack an image with its caption and, if present, superpixels.

    The data sample has ``caption`` in its metainfo, and ``superpixels``, a
    PixelData whose ``data`` are ids, int64, (1, H, W); pixels outside of the
    image have -1.

    Args:
        meta_keys: Names of further metainfo.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack one sample.

        Raises:
            ValueError: The caption is missing or blank, or the superpixels
                have another size than the image.
        """
        caption = results.get('caption')
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(
                f'{results.get("img_path")} comes with the caption '
                f'{caption!r}, which is not a text or is blank. Use '
                'CaptionDataset or WebDatasetCaptions, which leave blank '
                'captions out.'
            )
        packed = super().transform(results)
        sample = packed['data_samples']
        sample.set_metainfo(dict(caption=caption))
        if 'superpixels' in results:
            ids = results['superpixels']
            shape = results['img'].shape[:2]
            if ids.shape != shape:
                raise ValueError(
                    f'The superpixels of {results.get("img_path")} are '
                    f'{ids.shape}, but the image is {shape}: some transform '
                    'changed only one of them (Pad does; Resize, RandomCrop, '
                    'RandomResizedCrop and RandomFlip change both).'
                )
            data = torch.from_numpy(ids.astype(np.int64))[None]
            sample.set_data(dict(superpixels=PixelData(data=data)))
        return packed
