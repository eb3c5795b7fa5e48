"""Where the tokens of an image's windows are, and in which region."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.clip.similarity import UNBOUND


def gaussian_window(
    grid: tuple[int, int], std: float, device: torch.device
) -> Tensor:
    """Return exp(-distance^2 / (2 std^2)) of all pairs of patches.

    Args:
        grid: Rows and columns (h, w) of patches.
        std: Standard deviation in patches.
        device: Device of the result.

    Returns:
        (1 + h * w, 1 + h * w); zero in the row and column of the class
        token.
    """
    places = token_places([(0.0, 0.0)], grid, 1, device)
    return gaussian_rows(places, places, std)


def gaussian_rows(rows: Tensor, columns: Tensor, std: float) -> Tensor:
    """Return exp(-distance^2 / (2 std^2)) of pairs of tokens.

    Args:
        rows: Places (n, 2) in patches, infinite for tokens without one.
        columns: Places (M, 2).
        std: Standard deviation in patches.

    Returns:
        (n, M); zero for pairs with a token that has no place.
    """
    apart = rows[:, None] - columns
    near = (-apart.square().sum(-1) / (2 * std**2)).exp()
    return near.nan_to_num(nan=0.0)


def token_places(
    offsets: Sequence[tuple[float, float]],
    grid: tuple[int, int],
    prefix: int,
    device: torch.device,
) -> Tensor:
    """Return the rows and columns of the tokens of all windows, in patches.

    Args:
        offsets: Row and column of the first patch of each of W windows.
        grid: Rows and columns (h, w) of patches of a window.
        prefix: Number of tokens before the patches of a window.
        device: Device of the result.

    Returns:
        float32, (W * (prefix + h * w), 2); infinite for the tokens before
        the patches.
    """
    rows, columns = (
        torch.arange(side, dtype=torch.float32, device=device) for side in grid
    )
    own = torch.cartesian_prod(rows, columns)
    places = []
    for row, column in offsets:
        moved = torch.stack([own[:, 0] + row, own[:, 1] + column], 1)
        places.append(F.pad(moved, (0, 0, prefix, 0), value=torch.inf))
    return torch.cat(places)


def token_regions(
    regions: Tensor, grid: tuple[int, int], prefix: int = 1
) -> Tensor:
    """Return the region of each token, that of the centre of its patch.

    Args:
        regions: Id of the region of each pixel, -1 for none, (B, H, W).
        grid: Rows and columns (h, w) of patches.
        prefix: Number of tokens before the patches.

    Returns:
        (B, prefix + h * w); ``UNBOUND`` for the tokens before the patches.
    """
    centres = [
        ((torch.arange(count, device=regions.device) + 0.5) * side / count)
        .long()
        .clamp(max=side - 1)
        for side, count in zip(regions.shape[1:], grid)
    ]
    own = regions[:, centres[0]][:, :, centres[1]].flatten(1)
    return F.pad(own, (prefix, 0), value=UNBOUND)


def join_windows(tokens: Tensor, windows: int) -> Tensor:
    """Arrange (W * B, N, ...), window after window, as (B, W * N, ...)."""
    apart = tokens.unflatten(0, (windows, -1))
    return apart.transpose(0, 1).flatten(1, 2)


def hide_class_token(rows: Tensor, columns: Tensor) -> Tensor:
    """Return -inf where a patch would see a token without a place.

    Args:
        rows: Places (n, 2), infinite for tokens without one.
        columns: Places (M, 2).

    Returns:
        float32, (n, M), elsewhere zero.
    """
    patch = rows.isfinite().all(1)
    outside = ~columns.isfinite().all(1)
    hidden = patch[:, None] & outside
    return torch.zeros_like(hidden, dtype=torch.float32).masked_fill(
        hidden, -torch.inf
    )
