"""The two residual blocks of ResNet-38, with norms ahead of convolutions.

See :class:`ResNet38d` for the source, and for why parts are called as they
are.
"""

from mmcv.cnn import build_norm_layer
from mmseg.utils import ConfigType
from torch import Tensor, nn


def conv(
    in_channels: int,
    channels: int,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Conv2d:
    """A convolution without bias that keeps the size, stride aside."""
    return nn.Conv2d(
        in_channels,
        channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )


class ResNet38Block(nn.Module):
    """Two 3 x 3 convolutions, each behind its norm and ReLU.

    Args:
        in_channels: Of the input.
        mid_channels: Between the convolutions.
        channels: Of the output.
        stride: Of the first convolution and of the shortcut.
        dilation: Of the second convolution.
        first_dilation: Of the first convolution.
        norm_cfg: Of the norms.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        first_dilation: int,
        norm_cfg: ConfigType,
    ) -> None:
        super().__init__()
        self.bn_branch2a = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv_branch2a = conv(
            in_channels, mid_channels, 3, stride, first_dilation
        )
        self.bn_branch2b1 = build_norm_layer(norm_cfg, mid_channels)[1]
        self.conv_branch2b1 = conv(
            mid_channels, channels, 3, dilation=dilation
        )
        self.conv_branch1 = None
        if stride != 1 or in_channels != channels:
            self.conv_branch1 = conv(in_channels, channels, 1, stride)

    def activate(self, x: Tensor) -> Tensor:
        """The block's input behind its first norm and ReLU."""
        return self.bn_branch2a(x).relu()

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """Add the branch to the input, or to its projection.

        Args:
            x: (B, in_channels, H, W).
            activated: What ``activate`` makes of it.

        Returns:
            (B, channels, ceil(H / stride), ceil(W / stride)).
        """
        if self.conv_branch1 is not None:
            x = self.conv_branch1(activated)
        branch = self.conv_branch2a(activated)
        return x + self.conv_branch2b1(self.bn_branch2b1(branch).relu())


class ResNet38Bottleneck(nn.Module):
    """A 1 x 1, a 3 x 3 and a 1 x 1 convolution, with dropout of channels.

    Args:
        in_channels: Of the input.
        channels: Of the output; a quarter and a half of it inside.
        stride: Of the first convolution and of the shortcut.
        dilation: Of the 3 x 3 convolution.
        dropout: Share of channels that is dropped in training.
        norm_cfg: Of the norms.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        dilation: int,
        dropout: float,
        norm_cfg: ConfigType,
    ) -> None:
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.bn_branch2a = build_norm_layer(norm_cfg, in_channels)[1]
        self.conv_branch2a = conv(in_channels, quarter, 1, stride)
        self.bn_branch2b1 = build_norm_layer(norm_cfg, quarter)[1]
        self.conv_branch2b1 = conv(quarter, half, 3, dilation=dilation)
        self.bn_branch2b2 = build_norm_layer(norm_cfg, half)[1]
        self.conv_branch2b2 = conv(half, channels, 1)
        self.conv_branch1 = conv(in_channels, channels, 1, stride)
        self.dropout = nn.Dropout2d(dropout)

    def activate(self, x: Tensor) -> Tensor:
        """The block's input behind its first norm and ReLU."""
        return self.bn_branch2a(x).relu()

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """Add the branch to the projected input.

        Args:
            x: Not used, since this block always projects; the arguments are
                those of :class:`ResNet38Block`.
            activated: What ``activate`` makes of x, (B, in_channels, H, W).

        Returns:
            (B, channels, ceil(H / stride), ceil(W / stride)).
        """
        branch = self.conv_branch2a(activated)
        branch = self.dropout(self.bn_branch2b1(branch).relu())
        branch = self.conv_branch2b1(branch)
        branch = self.dropout(self.bn_branch2b2(branch).relu())
        return self.conv_branch1(activated) + self.conv_branch2b2(branch)
