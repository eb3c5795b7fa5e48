"""Felzenszwalb's superpixels, as a function and as a transform."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmseg_weakclip.common.images import shrink

from .superpixel_cache import SuperpixelCache
from .transforms import resize_nearest


def felzenszwalb_superpixels(
    image: np.ndarray,
    scale: float = 224.0,
    sigma: float = 0.9,
    min_size: int = 224,
    short_side: int = 224,
) -> np.ndarray:
    """Find graph-based superpixels of an image, or of a smaller copy.

    Source: P. Felzenszwalb, D. Huttenlocher, "Efficient graph-based image
    segmentation", IJCV 2004; scikit-image's. The defaults are SegCLIP's.

    Args:
        image: BGR image, uint8, (H, W, 3).
        scale: Preference for large superpixels, > 0.
        sigma: Standard deviation of the Gaussian that smooths the image
            first, in pixels.
        min_size: Smallest size of a superpixel, in pixels.
        short_side: An image with a larger short side is shrunk to this.

    Returns:
        Ids from 0, int32, in the size of the image or of the copy.

    Raises:
        ImportError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise ImportError(
            'superpixels need scikit-image: '
            "pip install 'mmseg_weakclip[segclip]'"
        ) from error
    rgb = shrink(image, short_side)[..., ::-1]
    ids = felzenszwalb(rgb, scale=scale, sigma=sigma, min_size=min_size)
    return ids.astype(np.int32)


@TRANSFORMS.register_module()
class FelzenszwalbSuperpixels(BaseTransform):
    """Add the superpixels of an image, ``superpixels``, int32, (H, W).

    They are a field of ``seg_fields``, so Resize (of OpenCV), RandomCrop,
    RandomResizedCrop and RandomFlip keep them aligned. Pad, RandomRotate and
    RandomRotFlip don't, or fill in ids of their own; cut to a fixed size
    instead.

    The transform must come right after the image is loaded. Superpixels are
    found in the image shrunk to ``short_side``, cached in that size, and
    resized to the image by the nearest neighbour.

    Args:
        scale: Preference for large superpixels, > 0.
        sigma: Standard deviation of the Gaussian that smooths the image
            first, in pixels.
        min_size: Smallest size of a superpixel, in pixels.
        short_side: An image with a larger short side is shrunk to this.
        cache_dir: Folder of cached superpixels, by the ``img_name`` that a
            data set of captions gives. None finds them each time, in about
            0.1 s for 224 x 300 pixels.
    """

    def __init__(
        self,
        scale: float = 224.0,
        sigma: float = 0.9,
        min_size: int = 224,
        short_side: int = 224,
        cache_dir: str | None = None,
    ) -> None:
        self.settings: dict[str, Any] = dict(
            scale=float(scale),
            sigma=float(sigma),
            min_size=int(min_size),
            short_side=int(short_side),
        )
        self.cache = (
            None
            if cache_dir is None
            else SuperpixelCache(cache_dir, self.settings)
        )

    def find(self, image: np.ndarray, name: str | None) -> np.ndarray:
        """Return the superpixels of an image from the cache, or fill it.

        Args:
            image: BGR image, uint8, (H, W, 3).
            name: File of the image below the folder of the images; None
                passes the cache by.

        Returns:
            Ids, int32, in the size of the cache.

        Raises:
            ValueError: The cache has other parameters, or another image of
                this name.
        """
        if self.cache is None or name is None:
            return felzenszwalb_superpixels(image, **self.settings)
        ids = self.cache.read(name, image.shape[:2])
        if ids is None:
            ids = felzenszwalb_superpixels(image, **self.settings)
            self.cache.write(name, image.shape[:2], ids)
        return ids

    def transform(self, results: dict) -> dict:
        """Set ``superpixels``; see :meth:`find`.

        Raises:
            ValueError: The image was resized already, there is a cache but
                no ``img_name``, or the cache cannot be used.
        """
        if results.get('img_shape') != results.get('ori_shape'):
            raise ValueError(
                'FelzenszwalbSuperpixels comes after a transform that '
                'changes the size of the image; put it right after the image '
                'is loaded.'
            )
        name = results.get('img_name')
        if self.cache is not None and name is None:
            raise ValueError(
                f'The sample {results.get("img_path")} has no img_name to '
                'keep its superpixels by: use CaptionDataset or '
                'WebDatasetCaptions, or cache_dir=None.'
            )
        ids = self.find(results['img'], name)
        results['superpixels'] = resize_nearest(ids, results['img'].shape[:2])
        results.setdefault('seg_fields', []).append('superpixels')
        return results

    def __repr__(self) -> str:
        settings = ', '.join(f'{k}={v}' for k, v in self.settings.items())
        folder = None if self.cache is None else str(self.cache.folder)
        return f'{type(self).__name__}({settings}, cache_dir={folder!r})'
