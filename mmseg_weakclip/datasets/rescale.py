"""Random resizing around an image's own size."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Resize an image by a random factor of its own size.

    mmcv's RandomResize draws its factor around one size for all images, so
    that small images become as large as large ones. Here the factor is of the
    image itself, as in the published training of WeCLIP and ExCEL.

    Masks, boxes and other fields are resized as ``Resize`` does it.

    Args:
        ratio_range: Least and largest factor; all between are equally likely.
        kwargs: Other arguments of ``Resize``, such as ``interpolation``.

    Raises:
        ValueError: The range is empty or not positive.
    """

    def __init__(
        self, ratio_range: tuple[float, float], **kwargs: Any
    ) -> None:
        least, largest = ratio_range
        if not 0 < least <= largest:
            raise ValueError(
                f'ratio_range={ratio_range} must be two factors above 0, the '
                'smaller one first'
            )
        self.ratio_range = least, largest
        self.resize = TRANSFORMS.build(
            dict(type='Resize', scale=(1, 1), keep_ratio=False, **kwargs)
        )

    @cache_randomness
    def draw_ratio(self) -> float:
        """Draw a factor."""
        return float(np.random.uniform(*self.ratio_range))  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Change ``img``, ``img_shape``, ``scale_factor`` and all fields.

        Sides are rounded, and have one pixel at least.
        """
        ratio = self.draw_ratio()
        height, width = (
            max(1, round(ratio * side)) for side in results['img'].shape[:2]
        )
        self.resize.scale = (width, height)
        return self.resize(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ratio_range={self.ratio_range})'
