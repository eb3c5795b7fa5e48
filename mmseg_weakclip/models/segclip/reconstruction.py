"""SegCLIP's reconstruction of hidden patches from regions."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmseg_weakclip.models.clip.vision import run_block
from mmseg_weakclip.models.segclip.encoder import (
    Groups,
    RegionTokens,
    require_region_tokens,
)

from .masking import (
    check_mask_ratio,
    count_visible,
    cut_pixels,
    normalize_patches,
    random_order,
    take_patches,
)
from .patch_decoder import STD, PatchDecoder, init_linear


class RegionMixer(nn.Module):
    """Features of patches from nothing but the regions they are in.

    Args:
        channels: Width D of a region.
        num_centers: G.
        depth: Number of CLIP-style blocks behind.
        num_heads: Of each.
    """

    def __init__(
        self, channels: int, num_centers: int, depth: int, num_heads: int
    ) -> None:
        super().__init__()
        self.mix = nn.Linear(num_centers, num_centers)
        self.activation = QuickGELU()
        self.blocks = nn.ModuleList(
            ResidualAttentionBlock(channels, num_heads, act_layer=QuickGELU)
            for _ in range(depth)
        )

    def forward(self, groups: Groups) -> Tensor:
        """Groups of N patches -> (B, N, D)."""
        shares = self.mix(groups.hard.mT.to(groups.tokens.dtype))
        patches = self.activation(shares @ groups.tokens)
        for block in self.blocks:
            patches = run_block(block, patches)
        return patches


@MODELS.register_module()
class MaskedReconstructionHead(BaseModule):
    """Learns to predict hidden patches from the regions of visible ones.

    An auxiliary head of SegCLIP (ICML 2023), over ``CLIPViT(group=...,
    with_tokens=True)``, beside a head that learns from texts. Most patches
    are hidden; the others go through the backbone's own first blocks and
    grouping once more. All that is known of a visible patch from there on is
    its region, so that regions must say what their patches look like.

    It has no classes, and no part in a prediction.

    Args:
        channels: Width D of CLIP.
        patch_size: p, of CLIP.
        num_centers: G, of the grouping.
        num_heads: Of a mixer block; None has one for 64 channels, as CLIP.
        mixer_blocks: Number of blocks between regions and decoder.
        decoder_channels: See :class:`PatchDecoder`.
        decoder_depth: See :class:`PatchDecoder`.
        decoder_heads: See :class:`PatchDecoder`.
        mean_token: See :class:`PatchDecoder`.
        mask_ratio: Share of hidden patches, in (0, 1).
        normalize_target: Whether each patch's pixels are normalised once
            more, by its own mean and variance. SegCLIP takes them as CLIP
            sees them.
        loss_weight: Factor of the loss.
        loss_name: Its key.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        channels: int,
        patch_size: int,
        num_centers: int = 8,
        num_heads: int | None = None,
        mixer_blocks: int = 2,
        decoder_channels: int = 384,
        decoder_depth: int = 3,
        decoder_heads: int = 8,
        mean_token: bool = True,
        mask_ratio: float = 0.75,
        normalize_target: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_reconstruction',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        heads = num_heads or max(1, channels // 64)
        if channels % heads:
            raise ValueError(
                f'channels={channels} must be a multiple of the number of '
                f'heads ({heads})'
            )
        self.channels = channels
        self.patch_size = patch_size
        self.num_centers = num_centers
        self.mask_ratio = check_mask_ratio(mask_ratio)
        self.normalize_target = normalize_target
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        self.mixer = RegionMixer(channels, num_centers, mixer_blocks, heads)
        self.decoder = PatchDecoder(
            channels,
            3 * patch_size**2,
            decoder_channels,
            decoder_depth,
            decoder_heads,
            mean_token,
        )
        init_linear(self)
        nn.init.normal_(self.decoder.mask_token, std=STD)

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """The loss of a batch, other patches hidden each time.

        Args:
            inputs: Of a ``CLIPViT``, regions last.
            batch_data_samples: Not read.
            train_cfg: Not used.

        Raises:
            ValueError: There are no regions, they are of another size, or an
                image has one patch only.
        """
        tokens = require_region_tokens(inputs, type(self).__name__)
        self._check_sizes(tokens)
        batch, num_patches, _ = tokens.patches.shape
        order = random_order(batch, num_patches, tokens.patches.device)
        error = self.reconstruction_error(tokens, order)
        return {self.loss_name: self.loss_weight * error}

    def reconstruction_error(
        self, tokens: RegionTokens, order: Tensor
    ) -> Tensor:
        """Mean square error of the pixels of hidden patches.

        Args:
            tokens: Of the backbone.
            order: Places of patches, the visible ones first, (B, N).

        Returns:
            Scalar, float32.
        """
        hidden = order[:, count_visible(order.shape[1], self.mask_ratio) :]
        with torch.no_grad():
            pixels = cut_pixels(tokens.images, tokens.grid, self.patch_size)
            target = take_patches(pixels, hidden).float()
            if self.normalize_target:
                target = normalize_patches(target)
        return F.mse_loss(self(tokens, order).float(), target)

    def forward(self, tokens: RegionTokens, order: Tensor) -> Tensor:
        """Pixels of the hidden patches, (B, N - V, p * p * 3).

        Args:
            tokens: Of the backbone; only visible patches are looked at.
            order: Places of patches, the V visible ones first, (B, N).
        """
        visible = order[:, : count_visible(order.shape[1], self.mask_ratio)]
        seen, _ = tokens.encoder.encode_patches(
            take_patches(tokens.patches, visible)
        )
        features = self.mixer(tokens.encoder.group(seen))
        return self.decoder(features, order, tokens.grid)

    def _check_sizes(self, tokens: RegionTokens) -> None:
        actual = dict(
            channels=tokens.patches.shape[-1],
            patch_size=tokens.encoder.tower.patch_size,
            num_centers=tokens.groups.tokens.shape[1],
        )
        for name, value in actual.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f'MaskedReconstructionHead has {name}='
                    f'{getattr(self, name)}, but the CLIPViT before it has '
                    f'{value}'
                )
