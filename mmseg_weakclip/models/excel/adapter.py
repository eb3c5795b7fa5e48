"""Adapter and decoder of ExCEL and WeCLIP on a frozen CLIP."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmseg_weakclip.models.clip.tokens import CLIPTokens


@MODELS.register_module()
class MultiLayerAdapter(BaseModule):
    """One feature map from the hidden states of many blocks.

    The patches of each block go through a two-layer perceptron; a 1 x 1
    convolution mixes the results (WeCLIP, CVPR 2024; F_d of ExCEL, CVPR
    2025).

    Args:
        in_channels: Width D of CLIP.
        channels: Width C of the features.
        layers: Blocks (from 0) whose output is used. ExCEL uses all 12,
            WeCLIP the first 11.
        dropout: Share of channels dropped in training.
        init_cfg: Initialisation of the adapter.
    """

    def __init__(
        self,
        in_channels: int = 768,
        channels: int = 256,
        layers: Sequence[int] = tuple(range(12)),
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.layers = tuple(layers)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Linear(in_channels, channels),
                nn.ReLU(),
                nn.Linear(channels, channels),
            )
            for _ in self.layers
        )
        self.mix = nn.Conv2d(channels * len(self.layers), channels, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, tokens: CLIPTokens) -> Tensor:
        """Return features, (B, C, h, w).

        Args:
            tokens: Output of CLIP, with hidden states.

        Raises:
            ValueError: The hidden states are missing, or those of a block, or
                have another width.
        """
        # hidden[0] is the input of the first block.
        outputs = tokens.hidden[1:]
        if not outputs:
            raise ValueError(
                'MultiLayerAdapter reads the hidden states of CLIP: set '
                'hidden_states=True in CLIPViT'
            )
        if max(self.layers) >= len(outputs):
            raise ValueError(
                f'MultiLayerAdapter has layers={self.layers}, but CLIP has '
                f'{len(outputs)} blocks'
            )
        width, own = self.branches[0][0].in_features, outputs[0].shape[-1]
        if own != width:
            raise ValueError(
                f'MultiLayerAdapter has in_channels={width}, but the width of '
                f'CLIP is {own}: set in_channels={own} of the adapter'
            )
        features = torch.cat(
            [
                branch(outputs[layer][:, tokens.prefix :])
                for branch, layer in zip(self.branches, self.layers)
            ],
            -1,
        )
        maps = features.transpose(1, 2).unflatten(2, tokens.grid)
        return self.dropout(self.mix(maps))


@MODELS.register_module()
class MapAdapter(BaseModule):
    """Features of one layer of another model, as those of one layer of CLIP.

    The second adapter of WeCLIP+ (TPAMI 2025): a two-layer perceptron and a
    1 x 1 convolution, like :class:`MultiLayerAdapter` with one layer.

    Args:
        in_channels: Width of the other model.
        channels: Width C of the features.
        dropout: Share of channels dropped in training.
        init_cfg: Initialisation of the adapter.
    """

    def __init__(
        self,
        in_channels: int = 384,
        channels: int = 256,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.branch = nn.Sequential(
            nn.Linear(in_channels, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Return features (B, C, h, w) of maps (B, in_channels, h, w).

        Raises:
            ValueError: The maps have another width.
        """
        width = self.branch[0].in_features
        if maps.shape[1] != width:
            raise ValueError(
                f'MapAdapter has in_channels={width}, but the maps before '
                f"CLIP's have {maps.shape[1]} channels: set "
                f'in_channels={maps.shape[1]} if they are those of the guide, '
                "else type='GuidedEncoderDecoder' and guide=dict("
                "type='TimmFeatures', ...) of the model"
            )
        mixed = self.branch(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.dropout(self.mix(mixed))


class TokenTransformer(nn.Sequential):
    """Transformer blocks on the patches of a map, without positions.

    Args:
        channels: Width C.
        depth: Number of blocks.
        heads: Number of attention heads of a block.
    """

    def __init__(self, channels: int, depth: int = 3, heads: int = 8) -> None:
        super().__init__(
            *(
                ResidualAttentionBlock(channels, heads, act_layer=QuickGELU)
                for _ in range(depth)
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Run the blocks on maps (B, C, h, w)."""
        tokens = super().forward(maps.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).reshape_as(maps)
