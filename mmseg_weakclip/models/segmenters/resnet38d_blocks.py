"""The two residual blocks of ResNet-38, with norms before convolutions.

See ``resnet38d.py`` for the source and the names of the parts.
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
    """Return a convolution without bias, padded to keep the size."""
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
    """Two 3 x 3 convolutions, each after a norm and a ReLU.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels between the convolutions.
        channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
        dilation: Dilation of the second convolution.
        first_dilation: Dilation of the first convolution.
        norm_cfg: Config of the norms.
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
        """Apply the first norm and ReLU to the input of the block."""
        return self.bn_branch2a(x).relu()

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """Add the branch to the input, or to its projection.

        Args:
            x: Input of the block, (B, in_channels, H, W).
            activated: Result of ``activate(x)``, of the same shape.

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
        in_channels: Channels of the input.
        channels: Channels of the output; inside, a quarter and a half of it.
        stride: Stride of the first convolution and of the shortcut.
        dilation: Dilation of the 3 x 3 convolution.
        dropout: Share of channels dropped in training.
        norm_cfg: Config of the norms.
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
        """Apply the first norm and ReLU to the input of the block."""
        return self.bn_branch2a(x).relu()

    def forward(self, x: Tensor, activated: Tensor) -> Tensor:
        """Add the branch to the projected input.

        Args:
            x: Not used, since this block always projects; the arguments are
                those of :class:`ResNet38Block`.
            activated: Result of ``activate(x)``, (B, in_channels, H, W).

        Returns:
            (B, channels, ceil(H / stride), ceil(W / stride)).
        """
        branch = self.conv_branch2a(activated)
        branch = self.dropout(self.bn_branch2b1(branch).relu())
        branch = self.conv_branch2b1(branch)
        branch = self.dropout(self.bn_branch2b2(branch).relu())
        return self.conv_branch1(activated) + self.conv_branch2b2(branch)
