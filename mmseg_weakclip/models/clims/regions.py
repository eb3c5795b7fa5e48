"""Soft regions of images, as CLIMS shows them to CLIP."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# What CLIP was trained with, and ImageNet's, which CLIMS' code gives to CLIP
# too; both for RGB in 0..255.
NORMALIZATIONS = {
    'clip': ((122.771, 116.746, 104.094), (68.501, 66.632, 70.323)),
    'imagenet': ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def normalize_images(images: Tensor, name: str) -> Tensor:
    """RGB in 0..255 of any type, (B, 3, H, W) -> float32, normalised.

    Raises:
        ValueError: There is no normalisation of this name.
    """
    if name not in NORMALIZATIONS:
        raise ValueError(
            f'normalization={name!r} must be one of {sorted(NORMALIZATIONS)}'
        )
    mean, std = (
        torch.tensor(values, device=images.device)[:, None, None]
        for values in NORMALIZATIONS[name]
    )
    return (images.float() - mean) / std


def find_pairs(present: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of an image and a class that it has.

    Args:
        present: bool, (B, K).

    Returns:
        Places of the images and ids of the classes, both (M,), image by
        image.
    """
    images, labels = present.nonzero(as_tuple=True)
    return images, labels


def mask_regions(
    images: Tensor,
    maps: Tensor,
    pairs: tuple[Tensor, Tensor],
    size: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """What a map lets through of its image, and what it holds back.

    ``X * P`` and ``X * (1 - P)`` (CLIMS, CVPR 2022, Eq. 2) in normalised
    space, where a pixel that is held back has the mean colour.

    Args:
        images: X, normalised, (B, 3, H, W).
        maps: P in [0, 1], (B, K, h, w), of the same view.
        pairs: See :func:`find_pairs`.
        size: Height and width of CLIP's input.

    Returns:
        Object regions and the rest, both (M, 3, *size).
    """
    rows, labels = pairs
    # Resized before they are picked: an image may be in several pairs.
    images = F.interpolate(images, tuple(size), mode='bilinear')[rows]
    masks = maps[rows, labels][:, None].float()
    masks = F.interpolate(masks, tuple(size), mode='bilinear')
    inside = masks * images
    return inside, images - inside
