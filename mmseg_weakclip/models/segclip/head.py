"""SegCLIP's head: trained with captions, predicts any vocabulary."""

import math

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_weakclip.models.cam.base import TextHead
from mmseg_weakclip.models.clip.text_bank import (
    best_of_class,
    check_open_vocabulary,
)
from mmseg_weakclip.models.samples import captions_of, stack_superpixels
from mmseg_weakclip.models.transfer import upload

from .encoder import RegionTokens, require_region_tokens
from .regions import (
    CaptionEncoder,
    paint_regions,
    pool_superpixels,
    region_map,
    region_scores,
    text_ids,
    unsure_pixels,
)

# Largest factor of the cosines, as in the training of CLIP.
MAX_LOGIT_SCALE = 100.0


@MODELS.register_module()
class RegionTextHead(TextHead):
    """Region tokens classified by texts.

    SegCLIP (ICML 2023). It works over a ``GroupingCLIPViT`` with
    ``with_tokens=True`` in a stock ``EncoderDecoder``. It is trained with
    captions: the maximum over an image's regions is the embedding of the
    image, which is compared with the texts of the batch. It predicts any
    classes: each region is compared with the text of each class, and a pixel
    gets the scores of its region.

    The bank names either all K classes or all but a background, class 0.
    Then pixels are background where no class reaches ``threshold``, or where
    one of the bank's background words scores higher.

    Args:
        num_classes: Number of classes K, with the background if there is
            one.
        text: Config of a text bank. Its tower is trained with the captions,
            unless it is frozen.
        contrastive: Config of the loss between images and captions; None
            for a model that only predicts.
        superpixel: Config of a loss of group assignments and superpixels.
            Samples must then have ``superpixels``.
        threshold: Probability in [0, 1] below which pixels are background.
            Published values, tuned on the data sets they are used on: VOC
            .80, Context .25, COCO .65.
        topk: Number of classes allowed in an image; see
            :func:`region_scores`. None for all.
        context_length: Number of tokens of a caption, start and end
            included; longer ones are cut.
        logit_scale: Initial factor of the cosines, which is trained; None
            takes that of the text bank's CLIP.
        init_cfg: Initialisation of the head.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        num_classes: int,
        text: ConfigType,
        contrastive: ConfigType | None = None,
        superpixel: ConfigType | None = None,
        threshold: float | None = None,
        topk: int | None = 5,
        context_length: int = 32,
        logit_scale: float | None = None,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(num_classes, text, init_cfg)
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(
                f'threshold={threshold} must be a probability, in [0, 1]'
            )
        if topk is not None and topk < 1:
            raise ValueError(f'topk={topk} must be at least 1, or None')
        if context_length < 3:
            raise ValueError(
                f'context_length={context_length} has no room for a word '
                'between start and end'
            )
        start = logit_scale or self.text.tower.logit_scale
        self.logit_scale = nn.Parameter(torch.tensor(math.log(start)))
        self.contrastive = MODELS.build(contrastive) if contrastive else None
        self.superpixel = MODELS.build(superpixel) if superpixel else None
        self.threshold = threshold
        self.topk = topk
        self.encode_captions = CaptionEncoder(context_length)

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Return losses by name, and values for the log.

        Args:
            inputs: Output of the backbone, region tokens last.
            batch_data_samples: Samples with ``caption``, and with
                ``superpixels`` if they have a loss. Pixel labels are not
                read.
            train_cfg: Not used.

        Raises:
            RuntimeError: The head has no loss.
            ValueError: Regions, captions or superpixels are missing.
        """
        if self.contrastive is None:
            raise RuntimeError(
                'RegionTextHead has no loss to train with: set contrastive='
                "dict(type='ImageTextContrastiveLoss')"
            )
        regions = require_region_tokens(inputs, type(self).__name__)
        captions = captions_of(batch_data_samples)
        texts, num_cut = self.encode_captions(captions, self.text)
        with torch.no_grad():
            self.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
        device = self.logit_scale.device
        scale = self.logit_scale.exp()
        losses = {
            self.contrastive.loss_name: self.contrastive(
                regions.image_embedding,
                texts,
                scale,
                upload(text_ids(captions), device),
            ),
            'logit_scale': scale.detach(),
            'cut_captions': scale.new_full((), num_cut),
            'used_groups': used_groups(regions.groups.hard),
        }
        if self.superpixel is not None:
            losses[self.superpixel.loss_name] = self._superpixel_loss(
                regions, batch_data_samples
            )
        return losses

    def _superpixel_loss(
        self, regions: RegionTokens, samples: SampleList
    ) -> Tensor:
        superpixels = pool_superpixels(
            stack_superpixels(samples),
            regions.grid,
            regions.encoder.tower.patch_size,
        )
        return self.superpixel(
            regions.groups.hard, regions.groups.soft, superpixels
        )

    def predict(
        self, inputs: tuple, batch_img_metas: list[dict], test_cfg: ConfigType
    ) -> Tensor:
        """Predict scores in [0, 1] at the size of the input, (B, K, H, W).

        Args:
            inputs: Output of the backbone, region tokens last.
            batch_img_metas: Not used.
            test_cfg: Not used.

        Raises:
            ValueError: Regions are missing, the names do not match the
                classes, or the bank has one text only.
        """
        return self.forward(inputs)

    def forward(self, inputs: tuple) -> Tensor:
        """Return scores of all classes; see :meth:`predict`."""
        regions = require_region_tokens(inputs, type(self).__name__)
        self._check_text()
        text = self.text()
        with torch.autocast(text.device.type, enabled=False):
            scores = region_scores(
                regions.region_embeddings.float(),
                regions.image_embedding.float(),
                text.float(),
                self.logit_scale.exp(),
                self.topk,
            )
            where = region_map(
                regions.groups.soft.float(),
                regions.grid,
                regions.images.shape[-2:],
            )
            painted = paint_regions(scores, where)
            return self._by_class(painted, scores)

    def _by_class(self, painted: Tensor, scores: Tensor) -> Tensor:
        """Turn scores of texts into scores of classes."""
        names, background = best_of_class(painted, self.text)
        if len(names) == self.num_classes:
            return torch.stack(names, 1)
        if self.threshold is not None:
            rows = sum(self.text.rows_per_class[: len(self.text)])
            unsure = unsure_pixels(
                painted[:, :rows], scores[..., :rows], self.threshold
            )
            background.append(unsure.to(painted.dtype))
        background = torch.stack(background, 1).amax(1)
        return torch.stack([background, *names], 1)

    def _check_text(self) -> None:
        user = type(self).__name__
        check_open_vocabulary(
            self.text, self.num_classes, self.threshold, user
        )
        if sum(self.text.rows_per_class) == 1:
            raise ValueError(
                f'{user} compares texts, but its bank has only one, '
                f'{self.text.names}, which would win everywhere: '
                'add background_words to the bank'
            )


def used_groups(hard: Tensor) -> Tensor:
    """Return the mean number of groups that have a patch.

    Args:
        hard: One-hot assignment, (B, G, N).
    """
    return (hard.detach().amax(-1) > 0).sum(1).float().mean()
