"""Pyramid adapter: one-scale ViT maps to strides 4, 8, 16 and 32."""

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from .score_fpn import DeferredUpsample, Level

# Levels that end with a transposed convolution.
DEFERRED = 2


@MODELS.register_module()
class PyramidAdapter(BaseModule):
    """Rescale four maps of a plain ViT to a pyramid (WeakCLIP, IJCV 2024).

    Map i is normalised over all its values (one group), then enlarged by
    transposed convolutions (x4, x2), kept, or max-pooled (x1/2). With
    patches of 16 the strides are 4, 8, 16, 32.

    Args:
        channels: Width D of the maps.
        norm_cfg: Norm between the two transposed convolutions of the finest
            level.
        deferred: Whether the last transposed convolution of the two finest
            levels is left to their reader, ``CoAttentionNeck``. With
            ``ScoreFPN`` inside, it is then joined with the convolution that
            follows.
        init_cfg: Initialisation of the adapter.
    """

    def __init__(
        self,
        channels: int,
        norm_cfg: ConfigType | None = None,
        *,
        deferred: bool = False,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.deferred = deferred
        _, norm = build_norm_layer(norm_cfg or dict(type='SyncBN'), channels)
        self.levels = nn.ModuleList(
            [
                nn.Sequential(
                    nn.GroupNorm(1, channels),
                    nn.ConvTranspose2d(channels, channels, 2, stride=2),
                    norm,
                    nn.GELU(),
                    nn.ConvTranspose2d(channels, channels, 2, stride=2),
                ),
                nn.Sequential(
                    nn.GroupNorm(1, channels),
                    nn.ConvTranspose2d(channels, channels, 2, stride=2),
                ),
                nn.GroupNorm(1, channels),
                nn.Sequential(nn.GroupNorm(1, channels), nn.MaxPool2d(2)),
            ]
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Level, ...]:
        """Rescale four maps by s = 4, 2, 1 and 1/2.

        Args:
            maps: Four maps (B, D, h, w).

        Returns:
            Four maps (B, D, s * h, s * w); the first two as
            :class:`DeferredUpsample` if ``deferred`` is set.

        Raises:
            ValueError: The number of maps is not four, or the image has
                fewer than two patches on a side.
        """
        if len(maps) != len(self.levels):
            raise ValueError(
                f'PyramidAdapter takes {len(self.levels)} maps, got '
                f'{len(maps)}: give CLIPViT that many out_indices'
            )
        if min(maps[-1].shape[-2:]) < 2:
            raise ValueError(
                'PyramidAdapter halves its last map, which has only '
                f'{tuple(maps[-1].shape[-2:])} patches: images need at '
                'least two patches on each side'
            )
        return tuple(
            DeferredUpsample(level[:-1](x), level[-1])
            if self.deferred and index < DEFERRED
            else level(x)
            for index, (level, x) in enumerate(zip(self.levels, maps))
        )
