"""Decoder from visible patches to the pixels of masked ones (MAE).

Also the position code of patches (:func:`sincos_position`), and the
initialisation that all of SegCLIP's own modules share (:func:`init_linear`).
"""

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

# The longest wave of the position code is 2 pi times this many patches.
LONGEST = 10_000
# Standard deviation of initial weights.
STD = 0.02


def sincos_position(
    grid: tuple[int, int], channels: int, device: torch.device | str = 'cpu'
) -> Tensor:
    """Return a fixed code of the column and the row of each patch.

    The first half of the channels codes the column, the other the row, as in
    the published code of MAE and SegCLIP. Of D' channels of a half, the first
    D' / 2 are ``sin(place / 10000^(2 i / D'))`` and the others the cosines of
    the same.

    Args:
        grid: Rows and columns (h, w).
        channels: Width D of the code, a multiple of 4.
        device: Device of the result.

    Returns:
        Values in [-1, 1], float32, (h * w, D).
    """
    steps = torch.arange(channels // 4, device=device) / (channels // 4)
    frequencies = LONGEST**-steps
    row, column = (
        torch.cat([angles.sin(), angles.cos()], 1)
        for angles in (
            torch.arange(size, device=device)[:, None] * frequencies
            for size in grid
        )
    )
    row = row[:, None].expand(*grid, -1)
    column = column[None].expand(*grid, -1)
    return torch.cat([column, row], -1).flatten(0, 1)


def init_linear(module: nn.Module) -> None:
    """Initialise all linear layers with N(0, 0.02) and zero bias.

    The output layers of attention are included. Its joint projection of
    queries, keys and values is a plain parameter, which keeps the initial
    values of PyTorch (Xavier: standard deviation .0255 at a width of 768), as
    in the published code.

    Args:
        module: Module whose layers are initialised.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=STD)
            nn.init.zeros_(part.bias)


class PatchDecoder(nn.Module):
    """Predicts masked patches from visible ones.

    The decoder of MAE, "Masked Autoencoders Are Scalable Vision Learners"
    (CVPR 2022). Masked patches enter as a learnt token with their positions.

    Args:
        in_channels: Width of the features of visible patches.
        out_channels: Number of predicted values of a patch.
        channels: Width of the blocks.
        depth: Number of blocks.
        num_heads: Number of attention heads of a block.
        mean_token: Whether the mean of the visible patches is added as a
            token without position, as in SegCLIP.

    Raises:
        ValueError: The width is not a multiple of 4 and of the heads.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: int = 384,
        depth: int = 3,
        num_heads: int = 8,
        *,
        mean_token: bool = True,
    ) -> None:
        super().__init__()
        if channels % 4 or channels % num_heads:
            raise ValueError(
                f'decoder channels={channels} must be a multiple of 4, for '
                'the code of positions, and of the number of heads '
                f'({num_heads})'
            )
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.mean_token = mean_token
        self.embed = nn.Linear(in_channels, channels)
        self.mask_token = nn.Parameter(torch.zeros(channels))
        self.blocks = nn.Sequential(
            *(
                Block(channels, num_heads, qkv_bias=True, norm_layer=norm)
                for _ in range(depth)
            )
        )
        self.norm = norm(channels)
        self.predict = nn.Linear(channels, out_channels)

    def forward(
        self, visible: Tensor, order: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """Predict the masked patches.

        Args:
            visible: Features of the V visible patches, (B, V, D).
            order: Indices of all N patches, the visible ones first, (B, N).
            grid: Rows and columns (h, w); N = h * w.

        Returns:
            (B, N - V, out_channels), in the order of ``order``.
        """
        x = self.embed(visible)
        batch, num_visible, channels = x.shape
        num_hidden = order.shape[1] - num_visible
        hidden = self.mask_token.to(x.dtype).expand(batch, num_hidden, -1)
        # Blocks are invariant to the order of patches with their position
        # codes, so nothing has to be sorted back.
        position = sincos_position(grid, channels, x.device)[order]
        tokens = torch.cat([x, hidden], 1) + position.to(x.dtype)
        if self.mean_token:
            tokens = torch.cat([x.mean(1, keepdim=True), tokens], 1)
        tokens = self.blocks(tokens)[:, -num_hidden:]
        return self.predict(self.norm(tokens))
