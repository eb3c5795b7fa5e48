"""WeakCLIP's heads: the text-guided decoder and the pixel-text score."""

from collections.abc import Sequence

from mmseg.models.decode_heads import FPNHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_weakclip.models.losses.decode import decode_losses, pixel_accuracy
from mmseg_weakclip.models.samples import stack_images


@MODELS.register_module()
class TextGuidedHead(FPNHead):
    """Semantic FPN trained with seeds and object boundaries.

    Texts guide it through the score map that ``CoAttentionNeck`` adds to
    every level. Its two losses work on small maps, so the logits are not
    enlarged for them.

    Args:
        args: Positional arguments of ``FPNHead``.
        seed_loss: Config of a loss of logits (B, K, h, w) and seeds
            (B, H, W), such as ``CAMSeedLoss``.
        boundary_loss: Config of a loss of logits (B, K, h, w) and images
            (B, 3, H, W), such as ``CRFBoundaryLoss``.
        loss_decode: Additional losses on logits of full size.
        kwargs: Other arguments of ``FPNHead``.
    """

    def __init__(
        self,
        *args,
        seed_loss: ConfigType | None = None,
        boundary_loss: ConfigType | None = None,
        loss_decode: Sequence[ConfigType] = (),
        **kwargs,
    ) -> None:
        super().__init__(*args, loss_decode=list(loss_decode), **kwargs)
        self.seed_loss = MODELS.build(seed_loss) if seed_loss else None
        self.boundary_loss = (
            MODELS.build(boundary_loss) if boundary_loss else None
        )

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Return losses by name, and the accuracy on the seeds in percent.

        Args:
            seg_logits: Logits, (B, K, h, w).
            batch_data_samples: Samples with seeds in ``gt_sem_seg``, images in
                ``img``.
        """
        losses = {}
        if len(self.loss_decode):
            losses = decode_losses(self, seg_logits, batch_data_samples)
        seeds = self._stack_batch_gt(batch_data_samples)
        if self.seed_loss is not None:
            losses[self.seed_loss.loss_name] = self.seed_loss(
                seg_logits, seeds[:, 0], ignore_index=self.ignore_index
            )
        if self.boundary_loss is not None:
            losses[self.boundary_loss.loss_name] = self.boundary_loss(
                seg_logits, stack_images(batch_data_samples)
            )
        if 'acc_seg' not in losses:
            small = resize(seeds.float(), seg_logits.shape[2:], mode='nearest')
            losses['acc_seg'] = pixel_accuracy(
                seg_logits, small[:, 0].long(), self.ignore_index
            )
        return losses


@MODELS.register_module()
class TextScoreHead(BaseDecodeHead):
    """The score map as logits, without parameters.

    Args:
        num_classes: Number of classes K.
        temperature: Divisor of the cosines.
        in_index: Index of the score map among the inputs.
        kwargs: Other arguments of ``BaseDecodeHead``; its losses are the
            pixel-text cross-entropy on the logits at full size.
    """

    def __init__(
        self,
        num_classes: int,
        temperature: float = 0.07,
        in_index: int = -1,
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=num_classes,
            channels=num_classes,
            num_classes=num_classes,
            in_index=in_index,
            dropout_ratio=0,
            init_cfg=None,
            **kwargs,
        )
        del self.conv_seg
        self.temperature = temperature

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return logits, (B, K, h, w).

        Args:
            inputs: Maps of the neck, score map included.

        Raises:
            ValueError: The score map has another number of classes.
        """
        score = self._transform_inputs(inputs)
        if score.shape[1] != self.num_classes:
            raise ValueError(
                f'TextScoreHead has num_classes={self.num_classes}, but the '
                f'score map has {score.shape[1]} channels'
            )
        return score / self.temperature

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Return losses by name, and the accuracy in percent.

        Args:
            seg_logits: Logits, (B, K, h, w).
            batch_data_samples: Samples with seeds in ``gt_sem_seg``.
        """
        return decode_losses(self, seg_logits, batch_data_samples)
