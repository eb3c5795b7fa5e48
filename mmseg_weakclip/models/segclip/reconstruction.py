"""SegCLIP's reconstruction of masked patches from regions."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmseg_weakclip.models.clip.towers.open_clip_vit import OpenClipBlock

from .encoder import Groups, RegionTokens, require_region_tokens
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
    """Features of patches from the regions that they are in alone.

    Args:
        channels: Width D of a region.
        num_centers: Number of groups G.
        depth: Number of CLIP-style blocks after the mixing.
        num_heads: Number of attention heads of a block.
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
        """Return features (B, N, D) of the N patches of groups."""
        shares = self.mix(groups.hard.mT.to(groups.tokens.dtype))
        patches = self.activation(shares @ groups.tokens)
        for block in self.blocks:
            patches = OpenClipBlock(block).run(patches)
        return patches


@MODELS.register_module()
class MaskedReconstructionHead(BaseModule):
    """Predicts masked patches from the regions of visible ones.

    An auxiliary head of SegCLIP (ICML 2023), over a ``GroupingCLIPViT`` with
    ``with_tokens=True``, beside a head that is trained with texts. Most
    patches are masked; the others pass the backbone's first blocks and
    grouping once more. From there on a visible patch is represented by its
    region only, so that regions must describe the appearance of their
    patches.

    It has no classes and is not used for predictions.

    Args:
        channels: Width D of CLIP.
        patch_size: Patch size p of CLIP.
        num_centers: Number of groups G.
        num_heads: Number of attention heads of a mixer block; None for one
            per 64 channels, as in CLIP.
        mixer_blocks: Number of blocks between regions and decoder.
        decoder_channels: Width of the :class:`PatchDecoder`.
        decoder_depth: Number of blocks of the decoder.
        decoder_heads: Number of attention heads of the decoder.
        mean_token: Whether the decoder gets the mean of the visible patches
            as another token.
        mask_ratio: Share of masked patches, in (0, 1).
        normalize_target: Whether the pixels of each patch are normalised
            again, by its own mean and variance. SegCLIP does not.
        loss_weight: Factor of the loss.
        loss_name: Key in the losses.
        init_cfg: Initialisation of the head.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        channels: int,
        patch_size: int,
        *,
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
            mean_token=mean_token,
        )
        init_linear(self)
        nn.init.normal_(self.decoder.mask_token, std=STD)

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Return the loss of a batch, with random patches masked.

        Args:
            inputs: Output of the backbone, region tokens last.
            batch_data_samples: Not used.
            train_cfg: Not used.

        Raises:
            ValueError: There are no regions, their sizes do not match the
                head, or an image has one patch only.
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
        """Return the mean square error of the pixels of masked patches.

        Args:
            tokens: Region tokens of the backbone.
            order: Indices of patches, the visible ones first, (B, N).

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
        """Predict the pixels of masked patches, (B, N - V, p * p * 3).

        Args:
            tokens: Region tokens of the backbone; only their visible patches
                are used.
            order: Indices of patches, the V visible ones first, (B, N).
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
                    f'{getattr(self, name)}, but the backbone before it has '
                    f'{value}'
                )
