"""Resize the maps of a view once, as the published code of CAMs does."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_to_image(
    maps: Tensor, metas: Sequence[dict], multiple: int
) -> Tensor:
    """Resize the maps of views once, and cut them to the image's own size.

    As in the code of IRNet and CLIMS, where the position of a map within the
    image is that of a feature map of the next multiple of its size. A
    flipped view is resized as the unflipped one, and flipped again.

    Args:
        maps: Maps of views of a batch, (B, K, h, w).
        metas: Meta information with ``ori_shape``.
        multiple: The size before the cut is a multiple of this number.

    Returns:
        (B, K, H, W) of the original images.

    Raises:
        ValueError: A view is padded, or images of the batch have different
            sizes.
    """
    shapes = {tuple(meta['ori_shape'][:2]) for meta in metas}
    if len(shapes) > 1:
        raise ValueError(
            f'image_multiple={multiple} needs images of one size in a batch, '
            f'not {sorted(shapes)}: test with batch_size=1'
        )
    for meta in metas:
        if any(meta.get('img_padding_size', meta.get('padding_size', ()))):
            raise ValueError(
                f'{meta.get("img_path")} is padded, but image_multiple='
                f'{multiple} needs views as they are: set '
                'data_preprocessor=dict(test_cfg=None)'
            )
    ((height, width),) = shapes
    size = [-(-side // multiple) * multiple for side in (height, width)]
    axes = [
        {'horizontal': (-1,), 'vertical': (-2,)}[meta['flip_direction']]
        if meta.get('flip')
        else ()
        for meta in metas
    ]
    straight = torch.stack([m.flip(axis) for m, axis in zip(maps, axes)])
    resized = F.interpolate(
        straight, size, mode='bilinear', align_corners=False
    )[..., :height, :width]
    return torch.stack([m.flip(axis) for m, axis in zip(resized, axes)])
