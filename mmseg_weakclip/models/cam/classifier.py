"""Class activation maps of an image classifier, the baseline."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.refine.cam import (
    background_score,
    check_background,
    gate_by_labels,
    normalize_cam,
)
from mmseg_weakclip.models.refine.label_propagation import (
    check_propagation,
    grid_places,
    propagate_maps,
)
from mmseg_weakclip.models.refine.pixel_correlation import (
    correlate_maps,
    pick_levels,
    unit_features,
)
from mmseg_weakclip.models.samples import foreground_labels
from mmseg_weakclip.models.transfer import upload

from .importance import sampled_logits
from .view_resize import resize_to_image

PREDICTIONS = ('scores', 'maps', 'tags')


def multi_hot(labels: Sequence[tuple[int, ...]], num_classes: int) -> Tensor:
    """Return labels of B images as a table on the CPU.

    Args:
        labels: Class ids of each image, from 0.
        num_classes: Number of columns.

    Returns:
        bool, (B, num_classes).
    """
    table = torch.zeros(len(labels), num_classes, dtype=torch.bool)
    for row, own in zip(table, labels):
        row[list(own)] = True
    return table


@MODELS.register_module()
class CAMHead(BaseDecodeHead):
    """Image classifier whose last layer gives a map of each class (CAM).

    Zhou et al., "Learning Deep Features for Discriminative Localization"
    (CVPR 2016), in today's order: the 1 x 1 convolution comes before the
    mean over positions; both are linear. Trained with a multi-label
    soft margin loss on image labels, over any backbone of mmseg.

    In a test it predicts scores: channel 0 is the background, the others
    are the positive maps of the image's own classes, divided by their
    maximum. ``CAMTTAModel`` takes the maps of all views together before they
    are divided.

    Three options are against maps that mark the telling part of an object
    only: ``importance_weight`` in training, ``correlation`` and
    ``propagation`` in a test.

    Args:
        num_classes: Number of classes K, background included.
        in_channels: Channels of the features.
        in_index: Index of the features among those of the backbone.
        background: Score of the background; see :func:`background_score`.
            CLIMS has a threshold of 0.15 for VOC.
        dropout_ratio: Dropout ratio of the features in training.
        loss_weight: Factor of the loss.
        importance_weight: Factor of a second loss of the same kind, on image
            scores of drawn positions instead of the mean; see
            :func:`sampled_logits`. 0 is without.
        correlation: How maps are averaged over positions with similar
            features, before they are resized: ``levels``, the indices of
            these features among the backbone's, and optionally ``power``; see
            :func:`correlate_maps`. None is without.
        propagation: How maps then spread over a graph of positions:
            ``levels`` as above, and arguments of :func:`propagation_graph` and
            :func:`propagate_labels`. None is without.
        predicts: What a test predicts; see the attribute.
        image_multiple: How maps get the size of the image. None resizes them
            to the network's input, which mmseg resizes to the image. A
            number, 16 in the code of IRNet and CLIMS, resizes them once, to
            the next multiple of the image's own size, and cuts off what is
            over. It needs views without padding, and
            ``test_cfg=dict(mode='whole')``.
        init_cfg: Initialisation of the head.

    Attributes:
        predicts: ``'scores'``; ``'maps'`` for positive maps that are not
            normalised, behind an empty channel 0; or ``'tags'`` for the
            image's logits of all classes, the same at every pixel, which
            needs no image labels.

    Raises:
        ValueError: There is no such prediction, ``importance_weight`` is
            negative, or ``correlation`` or ``propagation`` names no levels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        in_index: int = -1,
        background: dict[str, float] | None = None,
        dropout_ratio: float = 0.0,
        loss_weight: float = 1.0,
        image_multiple: int | None = None,
        init_cfg: ConfigType | None = None,
        importance_weight: float = 0.0,
        correlation: ConfigType | None = None,
        propagation: ConfigType | None = None,
        predicts: str = 'scores',
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            channels=in_channels,
            num_classes=num_classes,
            out_channels=num_classes,
            in_index=in_index,
            loss_decode=[],
            dropout_ratio=dropout_ratio,
            init_cfg=init_cfg
            or dict(type='Normal', std=0.01, override=dict(name='conv_seg')),
        )
        # Under mmseg's name for the last layer, which it initialises.
        self.conv_seg = nn.Conv2d(in_channels, num_classes - 1, 1, bias=False)
        self.background = dict(background or dict(threshold=0.15))
        check_background(self.background)
        self.loss_weight = loss_weight
        self.image_multiple = image_multiple
        if predicts not in PREDICTIONS:
            raise ValueError(
                f'predicts={predicts!r} of {type(self).__name__} must be one '
                f'of {PREDICTIONS}'
            )
        if importance_weight < 0:
            raise ValueError(
                f'importance_weight={importance_weight} must not be negative'
            )
        for name, options in (
            ('correlation', correlation),
            ('propagation', propagation),
        ):
            if options is not None and not options.get('levels'):
                raise ValueError(
                    f'{name}={dict(options)} of {type(self).__name__} names '
                    'no levels, such as levels=(0, 1)'
                )
        if correlation is not None:
            own = {k: v for k, v in correlation.items() if k != 'levels'}
            one = torch.zeros(1, 1, 1, 1)
            check_options(
                'correlation', own, partial(correlate_maps, one, [one])
            )
        if propagation is not None:
            check_propagation(propagation)
        self.predicts = predicts
        self.importance_weight = importance_weight
        self.correlation = None if correlation is None else dict(correlation)
        self.propagation = None if propagation is None else dict(propagation)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return maps of foreground classes, any sign, (B, K - 1, h, w)."""
        return self.cls_seg(self._transform_inputs(inputs))

    def loss(
        self,
        inputs: tuple[Tensor, ...],
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Return the loss of the image labels, and their accuracy.

        Args:
            inputs: Features of the backbone.
            batch_data_samples: Samples with ``image_labels``; pixel labels
                are not read.
            train_cfg: Not used.

        Raises:
            ValueError: An image has no labels, or one that is not a
                foreground class.
        """
        maps = self.forward(inputs).float()
        logits = maps.mean((2, 3))
        target = upload(self._present(batch_data_samples), logits.device)
        loss = F.multilabel_soft_margin_loss(logits, target.float())
        correct = ((logits > 0) == target).float().mean()
        losses = dict(
            loss_label=self.loss_weight * loss, acc_label=100 * correct
        )
        if self.importance_weight:
            drawn = F.multilabel_soft_margin_loss(
                sampled_logits(maps), target.float()
            )
            losses['loss_importance'] = self.importance_weight * drawn
        return losses

    def _present(self, samples: SampleList) -> Tensor:
        """Return which image has which class, on the CPU, (B, K - 1)."""
        metas = [sample.metainfo for sample in samples]
        labels = foreground_labels(
            metas, self.num_classes, type(self).__name__
        )
        return multi_hot(labels, self.num_classes - 1)

    def predict_maps(
        self, inputs: tuple[Tensor, ...], batch_img_metas: list[dict]
    ) -> Tensor:
        """Predict positive maps at the size of the input, or of the image.

        Args:
            inputs: Features of the backbone.
            batch_img_metas: Meta information with ``image_labels``.

        Returns:
            (B, K - 1, H, W), >= 0, zero for absent classes.

        Raises:
            ValueError: An image has no labels, or one that is not a
                foreground class; or ``image_multiple`` does not go with the
                padding or the sizes of the batch.
        """
        labels = foreground_labels(
            batch_img_metas, self.num_classes, type(self).__name__
        )
        maps = self.forward(inputs).float().relu()
        if self.correlation is not None:
            options = dict(self.correlation)
            features = pick_levels(
                inputs, options.pop('levels'), 'correlation'
            )
            maps = correlate_maps(maps, features, **options)
        if self.propagation is not None:
            maps = self._propagate(maps, inputs, batch_img_metas[0])
        if self.image_multiple is None:
            maps = self.predict_by_feat(maps, batch_img_metas)
        else:
            maps = resize_to_image(maps, batch_img_metas, self.image_multiple)
        return gate_by_labels(maps, labels)

    def _propagate(
        self, maps: Tensor, inputs: tuple[Tensor, ...], meta: dict
    ) -> Tensor:
        """Spread maps over the graph of their positions."""
        options = dict(self.propagation or {})
        size = tuple(maps.shape[2:])
        features = pick_levels(inputs, options.pop('levels'), 'propagation')
        height = meta.get('pad_shape', meta['img_shape'])[0]
        spread = propagate_maps(
            maps,
            unit_features(features, size),
            grid_places(size, height / size[0]),
            **options,
        )
        # The solver may leave a little below 0.
        return spread.relu()

    def to_scores(self, maps: Tensor) -> Tensor:
        """Turn maps >= 0, (B, K - 1, H, W), into scores, (B, K, H, W)."""
        cams = normalize_cam(maps, mode='max')
        return torch.cat([background_score(cams, **self.background), cams], 1)

    def predict(
        self,
        inputs: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        test_cfg: ConfigType,
    ) -> Tensor:
        """Predict scores, maps or tags at the input's size, (B, K, H, W).

        Args:
            inputs: Features of the backbone.
            batch_img_metas: Meta information with ``image_labels``.
            test_cfg: Its mode; may be None.

        Raises:
            ValueError: See :meth:`predict_maps`; or ``image_multiple`` with
                sliding windows.
        """
        if self.predicts == 'tags':
            logits = self.forward(inputs).float().mean((2, 3))
            meta = batch_img_metas[0]
            # The size that mmseg gives to predictions, too.
            height, width = meta.get('pad_shape', meta['img_shape'])[:2]
            return F.pad(logits, (1, 0))[..., None, None].expand(
                -1, -1, height, width
            )
        mode = (test_cfg or {}).get('mode', 'whole')
        if self.image_multiple is not None and mode != 'whole':
            raise ValueError(
                f'image_multiple={self.image_multiple} resizes maps to the '
                f"whole image: set test_cfg=dict(mode='whole'), not {mode!r}"
            )
        maps = self.predict_maps(inputs, batch_img_metas)
        if self.predicts == 'maps':
            return torch.cat([torch.zeros_like(maps[:, :1]), maps], 1)
        return self.to_scores(maps)
