"""The heads of DeepLabV1 and DeepLabV2, which mmseg lacks.

Most papers on weakly supervised segmentation train one of them on their
pseudo masks. mmseg's ASPPHead is DeepLabV3's: it pools the image, joins its
branches by a convolution, and treats a dilation of 1 as a 1 x 1 branch.
"""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class DeepLabV1Head(BaseDecodeHead):
    """One dilated convolution with a large field of view (LargeFOV).

    Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and
    Fully Connected CRFs" (ICLR 2015): a dilated 3 x 3, a 1 x 1, and the
    classifier; here each with norm and ReLU, as over ResNet-38.

    Args:
        dilation: Dilation of the 3 x 3 convolution.
        dropout_ratio: Dropout ratio before the classifier.
        kwargs: Other arguments of ``BaseDecodeHead``.
    """

    def __init__(
        self, dilation: int = 12, dropout_ratio: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(dropout_ratio=dropout_ratio, **kwargs)
        layers = dict(
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        self.convs = nn.Sequential(
            ConvModule(
                self.in_channels,
                self.channels,
                3,
                padding=dilation,
                dilation=dilation,
                **layers,
            ),
            ConvModule(self.channels, self.channels, 1, **layers),
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Turn features of the backbone into logits, (B, K, h, w)."""
        return self.cls_seg(self.convs(self._transform_inputs(inputs)))


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """The sum of classifiers with different fields of view (ASPP).

    Chen et al., "DeepLab" (TPAMI 2018), as over ResNet-101: each branch is a
    dilated 3 x 3 convolution from features to classes.

    Args:
        in_channels: Channels of the features.
        num_classes: Number of classes K.
        dilations: Dilation of each branch.
        dropout_ratio: Dropout ratio of the features.
        kwargs: Other arguments of ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        dilations: Sequence[int] = (6, 12, 18, 24),
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            **kwargs,
        )
        # Under mmseg's name for the last layer, which it initialises.
        self.conv_seg = nn.ModuleList(
            nn.Conv2d(
                self.in_channels,
                self.out_channels,
                3,
                padding=dilation,
                dilation=dilation,
            )
            for dilation in dilations
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Turn features of the backbone into logits, (B, K, h, w)."""
        features = self._transform_inputs(inputs)
        if self.dropout is not None:
            features = self.dropout(features)
        return sum(branch(features) for branch in self.conv_seg)
