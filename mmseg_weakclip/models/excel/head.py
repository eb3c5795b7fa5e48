"""ExCEL's head: a segmenter trained on its own online pseudo labels."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.clip.similarity import (
    centred_similarity,
    dot_similarity,
)
from mmseg_weakclip.models.clip.text_bank import check_foreground_text
from mmseg_weakclip.models.clip.tokens import CLIPTokens, find_tokens
from mmseg_weakclip.models.losses.decode import decode_losses
from mmseg_weakclip.models.progress import training_iteration
from mmseg_weakclip.models.refine.cam import background_score
from mmseg_weakclip.models.refine.par import resolve_par
from mmseg_weakclip.models.samples import foreground_labels, stack_images

from .adapter import TokenTransformer
from .pseudo_labels import (
    ClassMaps,
    ignore_padding,
    maps_to_labels,
    scatter_maps,
)


@MODELS.register_module()
class IntraCorrelationHead(BaseDecodeHead):
    """A segmenter on a frozen CLIP with online pseudo labels.

    ExCEL (CVPR 2025) over ``CLIPViT(dense='excel', hidden_states=True,
    attention_layers=6, with_tokens=True)``. An adapter turns the hidden
    states into features F, and a small transformer turns F into logits. The
    pseudo labels are made from image labels alone: patch-text maps, spread
    by attention and refined by colour. From ``dynamic_start`` on, the
    similarity of F changes CLIP's dense stream (without a second pass
    through CLIP) and selects the attention maps, so that better features
    give better labels.

    Args:
        num_classes: Number of classes K, background included.
        text: Config of a text bank of the K - 1 foreground classes.
        adapter: Config of a module from :class:`CLIPTokens` to features
            (B, C, h, w), such as ``MultiLayerAdapter``.
        loss_decode: Losses of logits and labels, such as ``BalancedCELoss``.
        channels: Width C of the features.
        depth: Number of blocks of the transformer.
        heads: Number of attention heads of a block.
        class_maps: Arguments of :class:`ClassMaps`.
        background_power: Exponent of the background score; see
            :func:`background_score`.
        par: Arguments of ``refine_by_pixels``.
        relation: Similarity of patches: arguments of
            :func:`centred_similarity` (ExCEL's beta and gamma are 1 and 3),
            or ``'dot'``, the product of WeCLIP. None learns no relation, so
            labels are never dynamic.
        dynamic_start: Iteration of the first labels with the learnt
            relation; ExCEL has 14,000 for VOC, 30,000 for COCO.
        self_target_start: Iteration from which the relation learns from the
            prediction of the network; ExCEL has 24,000 for VOC. None for
            never.
        diversity_loss: Config of a loss of the relation in [0, 1], (B, N, N),
            and labels (B, h, w), such as ``AffinityDiversityLoss``.
        predicts: ``'logits'`` of the segmenter, or ``'cams'``: scores of the
            background and of the image's own classes, for seeds.
        kwargs: Other arguments of ``BaseDecodeHead``.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        num_classes: int,
        text: ConfigType,
        adapter: ConfigType,
        loss_decode: ConfigType | Sequence[ConfigType],
        channels: int = 256,
        depth: int = 3,
        heads: int = 8,
        class_maps: ConfigType | None = None,
        background_power: float = 1.0,
        par: ConfigType | None = None,
        relation: ConfigType | str | None = None,
        dynamic_start: int = 14_000,
        self_target_start: int | None = None,
        diversity_loss: ConfigType | None = None,
        predicts: str = 'logits',
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=channels,
            channels=channels,
            num_classes=num_classes,
            out_channels=num_classes,
            dropout_ratio=0,
            loss_decode=loss_decode,
            **kwargs,
        )
        if predicts not in ('logits', 'cams'):
            raise ValueError(
                f"predicts={predicts!r} must be 'logits' or 'cams'"
            )
        if diversity_loss and relation is None:
            raise ValueError(
                'diversity_loss trains a relation, and relation is None'
            )
        self.text = MODELS.build(text)
        self.adapter = MODELS.build(adapter)
        self.decoder = TokenTransformer(channels, depth, heads)
        self.class_maps = ClassMaps(num_classes - 1, **(class_maps or {}))
        self.background_power = background_power
        self.par = None if par is None else resolve_par(par)
        if isinstance(relation, str) and relation != 'dot':
            raise ValueError(
                f"relation={relation!r} must be 'dot' or the arguments of "
                'centred_similarity'
            )
        if isinstance(relation, Mapping):
            check_options(
                'relation',
                relation,
                partial(centred_similarity, torch.zeros(1, 1, 1)),
            )
        self.relation = relation
        self.dynamic_start = dynamic_start
        self.self_target_start = self_target_start
        self.diversity_loss = (
            MODELS.build(diversity_loss) if diversity_loss else None
        )
        self.predicts = predicts

    def forward(self, inputs: tuple) -> Tensor:
        """Return logits, (B, K, h, w)."""
        return self._decode(
            self.adapter(find_tokens(inputs, type(self).__name__))
        )

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Return losses by name, and the accuracy on pseudo labels in percent.

        Args:
            inputs: Output of a ``CLIPViT``, tokens last.
            batch_data_samples: Samples with ``img`` and ``image_labels``.
                Their pixel labels are replaced by pseudo labels.
            train_cfg: Not used.

        Raises:
            ValueError: Images or image labels are missing.
        """
        tokens = find_tokens(inputs, type(self).__name__)
        features = self.adapter(tokens)
        scores = None
        if self.relation is not None:
            scores = self._relation_scores(features)
        labels = self._make_labels(tokens, batch_data_samples, scores)
        for sample, own in zip(batch_data_samples, labels):
            sample.gt_sem_seg = PixelData(data=own[None])
        logits = self._decode(features)
        losses = decode_losses(self, logits, batch_data_samples)
        if self.diversity_loss is not None:
            target = self._relation_target(logits, labels)
            losses[self.diversity_loss.loss_name] = self.diversity_loss(
                scores.sigmoid(), target, ignore_index=self.ignore_index
            )
        return losses

    def predict(
        self, inputs: tuple, batch_img_metas: list[dict], test_cfg: ConfigType
    ) -> Tensor:
        """Predict logits or scores at the size of the input, (B, K, H, W).

        Args:
            inputs: Output of a ``CLIPViT``, tokens last.
            batch_img_metas: Meta information; ``'cams'`` need
                ``image_labels``.
            test_cfg: Not used.

        Raises:
            ValueError: ``predicts`` is ``'cams'`` and an image has no labels.
        """
        if self.predicts == 'logits':
            return super().predict(inputs, batch_img_metas, test_cfg)
        tokens = find_tokens(inputs, type(self).__name__)
        labels = foreground_labels(
            batch_img_metas, self.num_classes, type(self).__name__
        )
        scores, gate = self._guides(inputs)
        maps, ids = self._maps(tokens, labels, scores, gate, in_view=True)
        cams = scatter_maps(maps, ids, self.num_classes - 1)
        cams = self.predict_by_feat(cams, batch_img_metas)
        background = background_score(cams, power=self.background_power)
        return torch.cat([background, cams], 1)

    def _guides(self, inputs: tuple) -> tuple[Tensor | None, Tensor | None]:
        """Return the learnt relation of patches, and the gate of the maps."""
        if self.relation is None:
            return None, None
        tokens = find_tokens(inputs, type(self).__name__)
        return self._relation_scores(self.adapter(tokens)), None

    def _decode(self, features: Tensor) -> Tensor:
        return self.cls_seg(self.decoder(features))

    def _relation_scores(self, features: Tensor) -> Tensor:
        """Return the similarity of patches, (B, N, N)."""
        patches = features.flatten(2).transpose(1, 2)
        if self.relation == 'dot':
            return dot_similarity(patches)
        return centred_similarity(patches, **self.relation)

    @torch.no_grad()
    def _make_labels(
        self,
        tokens: CLIPTokens,
        samples: SampleList,
        scores: Tensor | None,
        gate: Tensor | None = None,
    ) -> Tensor:
        """Return class ids of pixels, (B, H, W); padding is ignored."""
        metas = [sample.metainfo for sample in samples]
        present = foreground_labels(
            metas, self.num_classes, type(self).__name__
        )
        if training_iteration() < self.dynamic_start:
            scores = None
        maps, ids = self._maps(tokens, present, scores, gate)
        labels = maps_to_labels(
            maps, ids, stack_images(samples), self.background_power, self.par
        )
        shapes = [meta['img_shape'] for meta in metas]
        return ignore_padding(labels, shapes, self.ignore_index)

    def _maps(
        self,
        tokens: CLIPTokens,
        labels: Sequence[tuple[int, ...]],
        scores: Tensor | None,
        gate: Tensor | None = None,
        *,
        in_view: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return :class:`ClassMaps`, with scores those of the learnt path."""
        check_foreground_text(self.text, self.num_classes, type(self).__name__)
        return self.class_maps(
            tokens, self.text(), labels, scores, gate, in_view=in_view
        )

    @torch.no_grad()
    def _relation_target(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return class ids of patches, (B, h, w).

        The network's own prediction is that of pixels, as published, of which
        the grid takes its share: it has the labels' place.
        """
        size = logits.shape[2:]
        small = sample_grid(labels, size)
        start = self.self_target_start
        if start is None or training_iteration() < start:
            return small
        padding = small == self.ignore_index
        pixels = F.interpolate(logits, labels.shape[1:], mode='bilinear')
        own = sample_grid(pixels.argmax(1), size)
        return own.masked_fill(padding, self.ignore_index)


def sample_grid(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the nearest class ids of a grid, (B, h, w).

    Args:
        labels: Class ids of pixels, (B, H, W).
        size: Rows and columns (h, w) of the grid.
    """
    # In float32 all ids below 2^24 are exact.
    small = F.interpolate(labels[:, None].float(), size, mode='nearest')
    return small[:, 0].long()
