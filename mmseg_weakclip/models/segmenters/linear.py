"""The smallest head: a norm and a linear classifier of each position.

It is the segmentation test of self-supervised features: what a frozen
backbone knows, a linear layer reads.
"""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class LinearHead(BaseDecodeHead):
    """Batch norm and a 1 x 1 convolution over one or several feature maps.

    Oquab et al., "DINOv2: Learning Robust Visual Features without
    Supervision" (TMLR 2024), section 7.4: a linear layer predicts the logits
    of each patch, which are resized to the image. Its variant "+ms" reads the
    last four blocks together.

    Args:
        in_channels: Channels of the map, or of each of several.
        num_classes: Number of classes K.
        in_index: Index of the map among the backbone's, or of each of
            several, which are resized to the first and concatenated.
        norm_cfg: Norm of the features; None is without.
        dropout_ratio: Share of channels that training drops.
        kwargs: Other arguments of ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_classes: int,
        in_index: int | Sequence[int] = -1,
        norm_cfg: dict[str, Any] | None = None,
        dropout_ratio: float = 0.0,
        **kwargs: Any,
    ) -> None:
        several = isinstance(in_channels, Sequence)
        super().__init__(
            in_channels=in_channels,
            # The classifier reads the features as they are.
            channels=sum(in_channels) if several else in_channels,
            num_classes=num_classes,
            in_index=in_index,
            input_transform='resize_concat' if several else None,
            norm_cfg=norm_cfg,
            dropout_ratio=dropout_ratio,
            **kwargs,
        )
        self.norm = None
        if norm_cfg is not None:
            self.norm = build_norm_layer(norm_cfg, self.in_channels)[1]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Turn maps of the backbone into logits, (B, K, h, w)."""
        features = self._transform_inputs(inputs)
        if self.norm is not None:
            features = self.norm(features)
        return self.cls_seg(features)
