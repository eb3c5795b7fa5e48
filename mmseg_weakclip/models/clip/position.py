"""CLIP's position embedding, fitted to other grids of patches."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .towers.image_parts import ImageParts

POSITION_MODES = ('bilinear', 'bicubic', 'bicubic-offset', 'bicubic-antialias')
# Rows and columns by which 'bicubic-offset' overshoots the grid.
OFFSET = 0.1


def interpolate_position(
    position: Tensor,
    grid: tuple[int, int],
    mode: str = 'bilinear',
    *,
    prefix: int = 1,
) -> Tensor:
    """Fit a position embedding of a square grid to another grid.

    Args:
        position: Position embedding, (prefix + n * n, D).
        grid: Rows and columns (h, w) of the new grid.
        mode: One of :data:`POSITION_MODES`. ``'bicubic-offset'`` is for a
            grid of h + 0.1 rows and w + 0.1 columns, cut to (h, w), as in the
            code of SCLIP, ClearCLIP, NACLIP and ProxyCLIP, which have it from
            DINO. ``'bicubic-antialias'`` smooths where the grid is smaller
            (GEM).
        prefix: Number of rows before those of the patches.

    Returns:
        (prefix + h * w, D); the first rows are unchanged.
    """
    side = int((len(position) - prefix) ** 0.5)
    if (side, side) == grid:
        return position
    patches = position[prefix:].T.unflatten(1, (side, side))[None].float()
    target: dict = dict(size=grid)
    if mode == 'bicubic-offset':
        target = dict(scale_factor=[(new + OFFSET) / side for new in grid])
    patches = F.interpolate(
        patches,
        **target,
        mode=mode.partition('-')[0],
        align_corners=False,
        antialias=mode == 'bicubic-antialias',
    )
    patches = patches[0].flatten(1).T.to(position.dtype)
    return torch.cat([position[:prefix], patches])


def fit_position_table(
    parts: ImageParts, grid: tuple[int, ...], mode: str
) -> None:
    """Interpolate the position embedding that a tower holds.

    Args:
        parts: Parts of the image tower, which is changed.
        grid: Rows and columns of the new table, equal.
        mode: One of :data:`POSITION_MODES`.

    Raises:
        ValueError: The grid is not a square, or the tower has no table.
    """
    if len(grid) != 2 or grid[0] != grid[1] or grid[0] < 1:
        raise ValueError(
            f'position_grid={grid} must have as many rows as columns'
        )
    if parts.position is None:
        raise ValueError(
            f'position_grid={grid}, but this image tower has no position '
            'embedding: leave it out'
        )
    side = grid[0]
    table = interpolate_position(
        parts.position.detach(),
        (side, side),
        mode,
        prefix=parts.position_prefix,
    )
    parts.set_position(table.clone())
