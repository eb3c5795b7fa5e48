"""Masking of patches and their pixels (MAE, CVPR 2022; SegCLIP, ICML 2023).

Which patches are masked is a random order of them, of which the first are
visible; the targets of their reconstruction are the pixels of each patch.
"""

import torch
from torch import Tensor

# Keeps the values of a patch of one colour finite.
VARIANCE_FLOOR = 1e-6


def check_mask_ratio(mask_ratio: float) -> float:
    """Check that some patches are masked and some are not.

    Args:
        mask_ratio: Share of masked patches.

    Returns:
        The same share.

    Raises:
        ValueError: The share is not above 0 and below 1.
    """
    if not 0 < mask_ratio < 1:
        raise ValueError(
            f'mask_ratio={mask_ratio} is the share of masked patches: it '
            'must be above 0 and below 1'
        )
    return mask_ratio


def count_visible(num_patches: int, mask_ratio: float) -> int:
    """Return the number of visible patches, at least 1 and at most N - 1.

    The published code counts the class token among the patches, which gives
    one patch less: 48 of 196 at a ratio of 0.75, where this is 49.

    Args:
        num_patches: Number of patches N.
        mask_ratio: Share of masked patches.

    Raises:
        ValueError: There is one patch only.
    """
    if num_patches < 2:
        raise ValueError(
            f'an image of {num_patches} patch(es) cannot have both masked '
            'and visible ones; enlarge it in the pipeline'
        )
    visible = round(num_patches * (1 - mask_ratio))
    return min(max(visible, 1), num_patches - 1)


def random_order(
    batch: int, num_patches: int, device: torch.device | str = 'cpu'
) -> Tensor:
    """Return a random permutation of the patches of each image.

    Args:
        batch: Number of images B.
        num_patches: Number of patches N.
        device: Device of the result.

    Returns:
        Indices of patches, int64, (B, N): the first will be visible, the
        others masked.
    """
    return torch.rand(batch, num_patches, device=device).argsort(1)


def take_patches(patches: Tensor, places: Tensor) -> Tensor:
    """Select patches (B, N, D) at indices (B, V) of each image, (B, V, D)."""
    return patches.take_along_dim(places[..., None], 1)


def cut_pixels(
    images: Tensor, grid: tuple[int, int], patch_size: int
) -> Tensor:
    """Return the pixels of each patch, row by row, channels last.

    Args:
        images: Images, (B, C, H, W). Rows and columns past the last whole
            patch are left out.
        grid: Rows and columns (h, w) of patches.
        patch_size: Patch size p.

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
    """Normalise each patch (B, N, P) to mean 0 and variance 1.

    Patches of one colour become 0.
    """
    centred = pixels - pixels.mean(-1, keepdim=True)
    variance = pixels.var(-1, keepdim=True)
    return centred / (variance + VARIANCE_FLOOR).sqrt()
