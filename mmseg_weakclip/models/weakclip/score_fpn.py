"""A feature pyramid over levels and a score map, with joint linear steps.

WeakCLIP concatenates the score map to every level, and mmseg's ``FPN`` begins
with a 1 x 1 convolution of each. Before it, the finest levels are enlarged by
a transposed convolution. All of these are linear, so they are one convolution
on the small grid, whose weights are a product of theirs: a third of the time,
and neither the enlarged level nor the concatenation is ever stored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.models.necks import FPN
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn


class DeferredUpsample(NamedTuple):
    """A map before its last step, which is left to its reader.

    Attributes:
        maps: Map on the small grid, (B, D, h, w).
        conv: The step, a transposed convolution of 2 x 2 with a stride of 2.
    """

    maps: Tensor
    conv: nn.ConvTranspose2d

    @property
    def size(self) -> tuple[int, int]:
        """Height and width after the step."""
        return 2 * self.maps.shape[-2], 2 * self.maps.shape[-1]

    def expand(self) -> Tensor:
        """Return the map after the step, (B, D, 2 h, 2 w)."""
        return self.conv(self.maps)


Level = Tensor | DeferredUpsample


@MODELS.register_module()
class ScoreFPN(FPN):
    """mmseg's ``FPN`` for levels and a score map that belongs to each.

    The outputs are those of ``FPN`` on the concatenations of each level with
    the resized score map, and so are names and shapes of the parameters.

    Args:
        in_channels: Channels of each concatenation, level first.
        args: Other arguments of ``FPN``.
        kwargs: Other arguments of ``FPN``.

    Raises:
        ValueError: An argument asks for more than plain convolutions and as
            many outputs as levels.
    """

    def __init__(self, in_channels: list[int], *args, **kwargs) -> None:
        super().__init__(in_channels, *args, **kwargs)
        plain = all(
            not conv.with_norm and not conv.with_activation
            for conv in (*self.lateral_convs, *self.fpn_convs)
        )
        counts = {len(in_channels), len(self.fpn_convs), self.num_outs}
        if not plain or len(counts) > 1:
            raise ValueError(
                'ScoreFPN has plain convolutions and an output for each '
                'level: leave norm_cfg, act_cfg, start_level, end_level and '
                'add_extra_convs out, with num_outs the number of levels'
            )

    def forward(
        self, levels: Sequence[Level], score: Tensor
    ) -> tuple[Tensor, ...]:
        """Mix the levels.

        Args:
            levels: Maps (B, D, h, w), finest first, or what becomes them.
            score: Score map, (B, K, h', w').

        Returns:
            As many maps (B, C, h, w).

        Raises:
            ValueError: The number of levels is another.
        """
        if len(levels) != len(self.lateral_convs):
            raise ValueError(
                f'ScoreFPN has {len(self.lateral_convs)} levels, got '
                f'{len(levels)}'
            )
        mixed = [
            self._lateral(conv.conv, level, score)
            for conv, level in zip(self.lateral_convs, levels)
        ]
        for i in range(len(mixed) - 1, 0, -1):
            finer = mixed[i - 1]
            mixed[i - 1] = finer + resize(
                mixed[i], size=finer.shape[2:], **self.upsample_cfg
            )
        return tuple(conv(x) for conv, x in zip(self.fpn_convs, mixed))

    @staticmethod
    def _lateral(conv: nn.Conv2d, level: Level, score: Tensor) -> Tensor:
        """Convolve a level and the score map as if they were one map."""
        own = conv.in_channels - score.shape[1]
        weight, bias = conv.weight[:, :own], conv.bias
        if isinstance(level, DeferredUpsample):
            joint, offset = _join(level.conv, weight)
            mixed = F.pixel_shuffle(F.conv2d(level.maps, joint), 2)
            bias = bias + offset
        else:
            mixed = F.conv2d(level, weight)
        return mixed + F.conv2d(
            fit_score(score, mixed), conv.weight[:, own:], bias
        )


def fit_score(score: Tensor, level: Tensor) -> Tensor:
    """Resize a score map to the grid of a level, in the level's precision."""
    # Corners aligned, as published: released weights need it.
    fitted = resize(
        score,
        level.shape[-2:],
        mode='bilinear',
        align_corners=True,
        warning=False,
    )
    return fitted.to(level.dtype)


def _join(first: nn.ConvTranspose2d, second: Tensor) -> tuple[Tensor, Tensor]:
    """Join a transposed convolution with the 1 x 1 convolution behind it.

    Args:
        first: From I to D channels, 2 x 2 with a stride of 2.
        second: Weight of the other, (O, D, 1, 1).

    Returns:
        Weight (4 O, I, 1, 1) of a convolution whose pixels are then shuffled
        to twice the size, and its offset (O,) there.
    """
    # Products of weights, which half precision would round once more.
    with torch.autocast(second.device.type, enabled=False):
        matrix = second.flatten(1)
        joint = torch.einsum('od,idkl->okli', matrix, first.weight)
        return joint.flatten(0, 2)[..., None, None], matrix @ first.bias
