"""Pixels of patches, as something to predict (MAE, CVPR 2022)."""

from torch import Tensor

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
