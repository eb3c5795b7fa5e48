"""Random placement of an image on a canvas of fixed size."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

from .preprocessor import OUTSIDE

Color = float | Sequence[float]


@TRANSFORMS.register_module()
class RandomPlacement(BaseTransform):
    """Crop or place an image at random on a canvas of fixed size.

    Each axis by itself: where the image is longer than the canvas, a random
    part of it is cut out; where it is shorter, it is placed at a random
    offset, and the rest of the canvas is filled. Every position is equally
    likely. This is how IRNet's code and its successors (CLIMS, ExCEL) make
    inputs of one size, where mmseg's RandomCrop and preprocessor pad at the
    bottom and at the right.

    All ``seg_fields`` (seeds, masks, superpixels) are placed alike. Put it
    after the transforms that change colours, which would change the filling
    too.

    Args:
        size: H and W of the canvas.
        pad_value: Colour of the free area, one number or one per channel, in
            the order of the image (BGR after mmcv's loaders). Whole numbers
            keep the type of the image. Others make it float32, as the mean
            colour needs, which normalises to exactly 0.
        seg_pad_value: Id of the free area in the fields; for superpixels it
            is -1, as in ``WeakSegDataPreProcessor``.

    Raises:
        ValueError: The size is not two positive numbers.
    """

    def __init__(
        self,
        size: tuple[int, int],
        pad_value: Color = 0,
        seg_pad_value: int = 255,
    ) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                'RandomPlacement needs two positive numbers as size, H and '
                f'W, not {size}.'
            )
        self.size = size[0], size[1]
        self.pad_value = pad_value
        self.seg_pad_value = seg_pad_value

    @cache_randomness
    def draw_offsets(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Draw the row and column of the image's corner on the canvas.

        Args:
            shape: H and W of the image.

        Returns:
            Offsets, >= 0 where the image fits on the canvas; <= 0 where that
            many pixels are cut off before the part that is kept.
        """
        row, column = (
            _draw_offset(new - old) for new, old in zip(self.size, shape)
        )
        return row, column

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape``, ``pad_shape``, all ``seg_fields``.

        The whole canvas counts as image: ``img_shape`` is its size.

        Raises:
            ValueError: A field has another size than the image, or
                ``pad_value`` another number of channels.
        """
        image = results['img']
        shape = image.shape[:2]
        offsets = self.draw_offsets(shape)
        for key in results.get('seg_fields', []):
            if results[key].shape[:2] != shape:
                raise ValueError(
                    f'{key} of {results.get("img_path")} is '
                    f'{results[key].shape[:2]}, but the image is {shape}: '
                    'some transform before RandomPlacement did not change '
                    'both.'
                )
            outside = OUTSIDE if key == 'superpixels' else self.seg_pad_value
            results[key] = self._place(
                results[key], offsets, np.array(outside, results[key].dtype)
            )
        results['img'] = self._place(image, offsets, self._color(image))
        results['img_shape'] = results['pad_shape'] = self.size
        return results

    def _color(self, image: np.ndarray) -> np.ndarray:
        """Return the colour of the free area, of the type of the result."""
        color = np.asarray(self.pad_value, np.float32)
        channels = image.shape[2:] or (1,)
        if color.ndim and color.shape != channels:
            raise ValueError(
                f'RandomPlacement has pad_value={self.pad_value}, but the '
                f'image has {channels[0]} channels.'
            )
        whole = (color == np.round(color)).all()
        return color.astype(image.dtype if whole else np.float32)

    def _place(
        self,
        image: np.ndarray,
        offsets: tuple[int, int],
        filling: np.ndarray,
    ) -> np.ndarray:
        """Return an image or ids (h, w, ...) on the canvas (H, W, ...)."""
        canvas = np.empty((*self.size, *image.shape[2:]), filling.dtype)
        canvas[:] = filling
        target, source = zip(
            *(
                _overlap(offset, new, old)
                for offset, new, old in zip(offsets, self.size, image.shape)
            )
        )
        canvas[target] = image[source]
        return canvas

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, '
            f'pad_value={self.pad_value}, '
            f'seg_pad_value={self.seg_pad_value})'
        )


def _draw_offset(space: int) -> int:
    """Draw an offset between 0 and the free space, which may be negative."""
    offset = int(np.random.randint(abs(space) + 1))  # noqa: NPY002
    return offset if space > 0 else -offset


def _overlap(offset: int, new: int, old: int) -> tuple[slice, slice]:
    """Return the part of an axis on the canvas, and the same in the image."""
    start, stop = max(offset, 0), min(offset + old, new)
    return slice(start, stop), slice(start - offset, stop - offset)
