"""From features of visible patches to the pixels of hidden ones (MAE)."""

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

# The longest wave of the position code is 2 pi times this many patches.
LONGEST = 10_000


def sincos_position(
    grid: tuple[int, int], channels: int, device: torch.device | str = 'cpu'
) -> Tensor:
    """A fixed code of the row and the column of each patch.

    The first half of the channels tells the row, the other the column. Of D'
    channels of a half, the first D' / 2 are ``sin(place / 10000^(2 i / D'))``
    and the others the cosines of the same.

    Args:
        grid: Rows and columns (h, w).
        channels: D, a multiple of 4.
        device: Where it is made.

    Returns:
        In [-1, 1], (h * w, D), float32.
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
    return torch.cat([row, column], -1).flatten(0, 1)


class PatchDecoder(nn.Module):
    """Predicts hidden patches from visible ones.

    The decoder of MAE, "Masked Autoencoders Are Scalable Vision Learners"
    (CVPR 2022). Hidden patches enter as one learnt token at their places.

    Args:
        in_channels: Width of the features of visible patches.
        out_channels: Values to predict of a patch.
        channels: Width inside.
        depth: Number of blocks.
        num_heads: Of each.
        mean_token: Whether the mean of the visible patches comes in as
            another token, without a place, as SegCLIP has it.

    Raises:
        ValueError: The width goes neither with the code of places nor with
            the heads.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        channels: int = 384,
        depth: int = 3,
        num_heads: int = 8,
        mean_token: bool = True,
    ) -> None:
        super().__init__()
        if channels % 4 or channels % num_heads:
            raise ValueError(
                f'decoder channels={channels} must be a multiple of 4, for '
                'the code of places, and of the number of heads '
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
        """Predict the hidden patches.

        Args:
            visible: Features of the V visible patches, (B, V, D).
            order: Places of all N patches, the visible ones first, (B, N).
            grid: Rows and columns (h, w); N = h * w.

        Returns:
            (B, N - V, out_channels), in the order of ``order``.
        """
        x = self.embed(visible)
        batch, num_visible, channels = x.shape
        num_hidden = order.shape[1] - num_visible
        hidden = self.mask_token.to(x.dtype).expand(batch, num_hidden, -1)
        # Blocks do not care in which order patches come, if each has the
        # code of its place: nothing has to be put back in order.
        position = sincos_position(grid, channels, x.device)[order]
        tokens = torch.cat([x, hidden], 1) + position.to(x.dtype)
        if self.mean_token:
            tokens = torch.cat([x.mean(1, keepdim=True), tokens], 1)
        tokens = self.blocks(tokens)[:, -num_hidden:]
        return self.predict(self.norm(tokens))


STD = 0.02


def init_linear(module: nn.Module) -> None:
    """Start all linear layers inside at N(0, 0.02) and zero bias.

    Those inside of attention, too.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=STD)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.MultiheadAttention):
            nn.init.normal_(part.in_proj_weight, std=STD)
