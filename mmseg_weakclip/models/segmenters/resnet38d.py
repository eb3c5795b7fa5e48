"""ResNet-38 with dilations.

Wu, Shen and van den Hengel, "Wider or Deeper: Revisiting the ResNet Model for
Visual Recognition" (2016; Pattern Recognition 90, 2019), model A1. Weakly
supervised segmentation has used it, dilated, for CAMs since PSA (CVPR 2018),
and under DeepLabV1 as the last stage.

Modules have the names of the published weights (``b4_3`` is the fourth block
of the third stage); see tools/model_converters/resnet38d.py.
"""

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from .resnet38d_blocks import ResNet38Block, ResNet38Bottleneck, conv

# Blocks, inner channels and channels of each stage, b2 to b5.
PLAIN_STAGES = (
    (3, 128, 128),
    (3, 256, 256),
    (6, 512, 512),
    (3, 512, 1024),
)
# Channels and dropout of b6 and b7, of one block each.
BOTTLENECK_STAGES = ((2048, 0.3), (4096, 0.5))
STEM_CHANNELS = 64


@MODELS.register_module()
class ResNet38d(BaseModule):
    """ResNet-38: a stem and six stages, b2 to b7.

    The map of a stage is its output after the next norm and ReLU, which for
    all but the last stage belong to the next block. A stage that keeps the
    resolution begins with the dilation of the stage before.

    Args:
        out_indices: Stages whose maps are returned, from 0 (b2, 128
            channels) to 5 (b7, 4096 channels).
        strides: Strides of the stages.
        dilations: Dilations of the stages. By default, the maps have strides
            2, 4, 8, 8, 8, 8.
        frozen_stages: -1 freezes nothing, 0 the stem, n also the first n
            stages. PSA and its successors freeze the stem and b2 (1).
        norm_cfg: Config of the norms.
        norm_eval: Whether batch norms keep their statistics in training.
        init_cfg: Initialisation; None for He's.

    Raises:
        ValueError: A stage does not exist, or there are not six strides and
            dilations.
    """

    def __init__(
        self,
        *,
        out_indices: Sequence[int] = (5,),
        strides: Sequence[int] = (2, 2, 2, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 2, 4, 4),
        frozen_stages: int = -1,
        norm_cfg: ConfigType | None = None,
        norm_eval: bool = False,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        count = len(PLAIN_STAGES) + len(BOTTLENECK_STAGES)
        if len(strides) != count or len(dilations) != count:
            raise ValueError(
                f'ResNet38d has {count} stages; strides={tuple(strides)}, '
                f'dilations={tuple(dilations)}'
            )
        if not out_indices or not set(out_indices) <= set(range(count)):
            raise ValueError(
                f'out_indices={tuple(out_indices)} of ResNet38d must be in '
                f'0 to {count - 1}'
            )
        if not -1 <= frozen_stages <= count:
            raise ValueError(
                f'frozen_stages={frozen_stages} of ResNet38d must be in -1 to '
                f'{count}'
            )
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        norm_cfg = norm_cfg or dict(type='BN')
        self.conv1a = conv(3, STEM_CHANNELS, 3)
        self.stages: list[list[str]] = []
        in_channels = STEM_CHANNELS
        settings = list(zip((1, *dilations), strides, dilations))
        for plain, setting in zip(PLAIN_STAGES, settings):
            in_channels = self._add_plain(
                in_channels, *plain, *setting, norm_cfg
            )
        for (channels, dropout), (_, stride, dilation) in zip(
            BOTTLENECK_STAGES, settings[len(PLAIN_STAGES) :]
        ):
            block = ResNet38Bottleneck(
                in_channels, channels, stride, dilation, dropout, norm_cfg
            )
            self._add_stage([block])
            in_channels = channels
        self.bn7 = build_norm_layer(norm_cfg, in_channels)[1]
        self._freeze()

    def _add_plain(
        self,
        in_channels: int,
        blocks: int,
        mid_channels: int,
        channels: int,
        first_dilation: int,
        stride: int,
        dilation: int,
        norm_cfg: ConfigType,
    ) -> int:
        """Add a stage of plain blocks and return its channels."""
        inside = (mid_channels, channels)
        first = (stride, dilation, first_dilation, norm_cfg)
        later = (1, dilation, dilation, norm_cfg)
        self._add_stage(
            [
                ResNet38Block(in_channels, *inside, *first),
                *(
                    ResNet38Block(channels, *inside, *later)
                    for _ in range(blocks - 1)
                ),
            ]
        )
        return channels

    def _add_stage(self, blocks: list[nn.Module]) -> None:
        stage = f'b{len(self.stages) + 2}'
        names = [f'{stage}_{i}' if i else stage for i in range(len(blocks))]
        for name, block in zip(names, blocks):
            self.add_module(name, block)
        self.stages.append(names)

    def _freeze(self) -> None:
        parts = []
        if self.frozen_stages >= 0:
            parts.append(self.conv1a)
        for names in self.stages[: max(self.frozen_stages, 0)]:
            parts += [getattr(self, name) for name in names]
        if self.frozen_stages == len(self.stages):
            parts.append(self.bn7)
        for part in parts:
            part.eval()
            part.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> 'ResNet38d':  # noqa: FBT001, FBT002
        """Set the mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of ``out_indices`` of images (B, 3, H, W)."""
        x = self.conv1a(x)
        maps = {}
        for index, names in enumerate(self.stages):
            for name in names:
                block = getattr(self, name)
                activated = block.activate(x)
                if name == names[0] and index:
                    maps[index - 1] = activated
                x = block(x, activated)
        maps[len(self.stages) - 1] = self.bn7(x).relu()
        return tuple(maps[index] for index in self.out_indices)
