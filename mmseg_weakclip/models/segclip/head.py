"""SegCLIP's head: captions teach it, any vocabulary reads it."""

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
from mmseg_weakclip.models.segclip.encoder import (
    RegionTokens,
    require_region_tokens,
)

from .regions import (
    CaptionEncoder,
    paint_regions,
    pool_superpixels,
    region_map,
    region_scores,
    text_ids,
    unsure_pixels,
)

# CLIP never lets cosines be multiplied by more.
MAX_LOGIT_SCALE = 100.0


@MODELS.register_module()
class RegionTextHead(TextHead):
    """Region tokens, named by texts.

    SegCLIP (ICML 2023). Sits over a ``CLIPViT`` with a ``group`` and
    ``with_tokens=True`` in a stock ``EncoderDecoder``. It learns from
    captions: the largest values of an image's regions are the image, which
    is compared with the texts of the batch. It predicts any classes: each
    region is compared with the text of each class, and a pixel has the
    scores of its region.

    The bank names either all K classes or all but a background, class 0.
    Background is then where no class reaches ``threshold``, or where one of
    the bank's background words scores higher.

    Args:
        num_classes: K, background included where there is one.
        text: Config of a text bank. Its tower is trained on the captions,
            unless it is frozen.
        contrastive: Config of the loss between images and captions; None
            for a model that only predicts.
        superpixel: Config of a loss on how superpixels are grouped. Samples
            must then have ``superpixels``.
        threshold: Probability in [0, 1] below which pixels are background.
            The published ones, found on the data sets that they are used
            on: VOC .80, Context .25, COCO .65.
        topk: Number of classes that the image as a whole may have; see
            :func:`region_scores`. None for all.
        context_length: Number of tokens of a caption, start and end
            included; longer ones are cut.
        logit_scale: What cosines are multiplied by, a start that training
            changes; None takes that of the text bank's CLIP.

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
        """Losses by name, and what tells of the training.

        Args:
            inputs: What the backbone returned.
            batch_data_samples: With ``caption``, and ``superpixels`` where
                they have a loss. Pixel labels are not read.
            train_cfg: Not used.

        Raises:
            RuntimeError: There is no loss.
            ValueError: Regions, captions or superpixels are missing.
        """
        if self.contrastive is None:
            raise RuntimeError(
                'RegionTextHead has nothing to learn from: set contrastive='
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
                text_ids(captions).to(device),
            ),
            'logit_scale': scale.detach(),
            'cut_captions': torch.tensor(float(num_cut), device=device),
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
        """Scores in [0, 1] at the size of the network's input, (B, K, H, W).

        Raises:
            ValueError: Regions are missing, the bank has another number of
                names or only one, or nothing says what is background.
        """
        return self.forward(inputs)

    def forward(self, inputs: tuple) -> Tensor:
        """See :meth:`predict`."""
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
        """Scores of texts -> scores of classes."""
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
                f'{user} compares texts, and its bank has one alone, '
                f'{self.text.names}, of which it would be sure everywhere: '
                'add background_words to the bank'
            )


def used_groups(hard: Tensor) -> Tensor:
    """Mean number of groups that have a patch.

    Args:
        hard: One-hot assignment, (B, G, N).
    """
    return (hard.detach().amax(-1) > 0).sum(1).float().mean()
