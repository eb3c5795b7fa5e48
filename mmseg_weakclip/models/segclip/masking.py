"""Hiding patches of an image (MAE, CVPR 2022; SegCLIP, ICML 2023)."""

import torch
from torch import Tensor


def check_mask_ratio(mask_ratio: float) -> float:
    """See that some patches are hidden and some are not.

    Raises:
        ValueError: All or none would be.
    """
    if not 0 < mask_ratio < 1:
        raise ValueError(
            f'mask_ratio={mask_ratio} is the share of patches that are '
            'hidden: it must be above 0 and below 1'
        )
    return mask_ratio


def count_visible(num_patches: int, mask_ratio: float) -> int:
    """How many of N patches stay visible: the nearest whole number.

    At least one does, and at least one does not. The published code counts
    the class token among the patches, which leaves one patch less: 48 of 196
    at a ratio of 0.75, where this is 49.

    Raises:
        ValueError: There is one patch only.
    """
    if num_patches < 2:
        raise ValueError(
            f'an image of {num_patches} patch(es) has none to hide beside '
            'one to see; enlarge it in the pipeline'
        )
    visible = round(num_patches * (1 - mask_ratio))
    return min(max(visible, 1), num_patches - 1)


def random_order(
    batch: int, num_patches: int, device: torch.device | str = 'cpu'
) -> Tensor:
    """A random permutation of the patches of each image.

    Returns:
        Places of patches, int64, (B, N): the first are to be visible, the
        others hidden.
    """
    return torch.rand(batch, num_patches, device=device).argsort(1)


def take_patches(patches: Tensor, places: Tensor) -> Tensor:
    """Patches (B, N, D) at some places (B, V) of each image, (B, V, D)."""
    return patches.take_along_dim(places[..., None], 1)


# Of a flat patch, whose values would otherwise be divided by zero.
VARIANCE_FLOOR = 1e-6


def cut_pixels(
    images: Tensor, grid: tuple[int, int], patch_size: int
) -> Tensor:
    """The pixels of each patch, row by row, the channels of one together.

    Args:
        images: (B, C, H, W). Rows and columns past the last whole patch are
            left out.
        grid: Rows and columns (h, w) of patches.
        patch_size: p.

    Returns:
        (B, h * w, p * p * C).
    """
    rows, columns = grid
    images = images[..., : rows * patch_size, : columns * patch_size]
    patches = images.unflatten(3, (columns, patch_size))
    patches = patches.unflatten(2, (rows, patch_size))
    # (B, C, h, p, w, p) -> (B, h, w, p, p, C)
    return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def normalize_patches(pixels: Tensor) -> Tensor:
    """Give each patch (B, N, P) mean 0 and variance 1; 0 to a flat one."""
    centred = pixels - pixels.mean(-1, keepdim=True)
    variance = pixels.var(-1, keepdim=True)
    return centred / (variance + VARIANCE_FLOOR).sqrt()
