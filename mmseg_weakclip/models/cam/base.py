"""Base classes of heads that classify by text embeddings."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_weakclip.common.options import check_options
from mmseg_weakclip.models.clip.text_bank import check_foreground_text
from mmseg_weakclip.models.clip.tokens import CLIPTokens, find_tokens
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
    pick_levels,
    unit_features,
)
from mmseg_weakclip.models.refine.superpixel_mask import (
    ColorGroups,
    superpixel_mask,
)
from mmseg_weakclip.models.samples import foreground_labels

from .attention_affinity import AttentionAffinity


class TextHead(BaseDecodeHead):
    """Base of the decode heads whose classes are texts, not weights.

    Args:
        num_classes: Number of classes K, background included.
        text: Config of a text bank.
        init_cfg: Initialisation of the head.
    """

    def __init__(
        self,
        num_classes: int,
        text: ConfigType,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(
            in_channels=1,
            channels=1,
            num_classes=num_classes,
            out_channels=num_classes,
            loss_decode=[],
            dropout_ratio=0,
            init_cfg=init_cfg,
        )
        del self.conv_seg
        self.text = MODELS.build(text)


class TrainingFreeHead(TextHead):
    """Base of the decode heads without training; see :class:`TextHead`."""

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Raise an error: there is nothing to train.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f'{type(self).__name__} has nothing to train: run '
            'it with tools/test.py'
        )


class TrainingFreeCAMHead(TrainingFreeHead):
    """Base of the decode heads that read CAMs out of a frozen CLIP.

    The head works in a stock ``EncoderDecoder`` over a ``CLIPViT`` with
    ``with_tokens=True`` and predicts scores: channel 0 is the background,
    the others are CAMs in [0, 1] of the image's own classes, zero for all
    others. Image labels must travel with the samples.

    Args:
        num_classes: Number of classes K, background included.
        text: Config of a text bank of the K - 1 foreground classes.
        background: Score of the background: ``dict(threshold=t)`` for a
            constant, or ``dict(power=a)`` for (1 - max CAM) ** a. Chosen by
            hand, without pixel labels.
        affinity: Arguments of :class:`AttentionAffinity`; None leaves the
            CAMs unchanged.
        propagation: How CAMs then spread over a graph of patches, as in
            LPOSS: arguments of :func:`propagate_maps` and
            :func:`propagation_graph`, and ``levels``, indices of features
            among the inputs of the head, such as ``(0,)`` for those of the
            guide of a ``GuidedEncoderDecoder``; without levels, CLIP's patch
            embeddings. An empty dict takes all defaults, None is without.
        superpixels: Which patches give in the affinity, as in SSR: arguments
            of :class:`ColorGroups` and :func:`superpixel_mask`. None takes
            all, or those inside boxes.
        init_cfg: Initialisation of the head.

    Raises:
        ValueError: The bank has another number of classes, superpixels come
            without an affinity, or their folder does not exist.
    """

    def __init__(
        self,
        num_classes: int,
        text: ConfigType,
        background: dict[str, float],
        affinity: ConfigType | None = None,
        propagation: ConfigType | None = None,
        superpixels: ConfigType | None = None,
        init_cfg: ConfigType | None = None,
    ) -> None:
        super().__init__(num_classes, text, init_cfg)
        check_background(background)
        self.background = dict(background)
        self.affinity = (
            None if affinity is None else AttentionAffinity(**affinity)
        )
        if propagation is not None:
            check_propagation(propagation)
        self.propagation = None if propagation is None else dict(propagation)
        if superpixels is not None and self.affinity is None:
            raise ValueError(
                'superpixels choose the patches that give in the affinity: '
                'set affinity as well'
            )
        options = dict(superpixels or {})
        self.giver_thresholds = {
            name: options.pop(name)
            for name in ('confidence', 'share')
            if name in options
        }
        check_options(
            'superpixels',
            self.giver_thresholds,
            partial(
                superpixel_mask,
                torch.zeros(1, 1, 1, 1),
                torch.zeros(1, 1, 1, dtype=torch.long),
            ),
        )
        self.color_groups: ColorGroups | None = None
        if superpixels is not None:
            check_options('superpixels', options, ColorGroups)
            self.color_groups = ColorGroups(**options)

    @abstractmethod
    def cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Compute CAMs before normalisation.

        Args:
            tokens: Output of CLIP for the batch.
            text: Unit embeddings of K - 1 classes and M background words,
                (K - 1 + M, E).
            labels: Ids of the classes of each image, from 0, as in ``text``.

        Returns:
            (B, K - 1, h, w); larger means more likely. Maps of
            absent classes may have any finite values.
        """

    def normalized_cams(
        self,
        tokens: CLIPTokens,
        text: Tensor,
        labels: Sequence[tuple[int, ...]],
    ) -> Tensor:
        """Compute :meth:`cams` and scale them to [0, 1]."""
        return normalize_cam(self.cams(tokens, text, labels))

    def predict(
        self, inputs: tuple, batch_img_metas: list[dict], test_cfg: ConfigType
    ) -> Tensor:
        """Predict scores at the size of the network's input, (B, K, H, W).

        Args:
            inputs: Output of the backbone, tokens last.
            batch_img_metas: Meta information with ``image_labels``.
            test_cfg: Not used.

        Raises:
            ValueError: CLIP's tokens or the image labels are missing, or a
                label is not a foreground class.
        """
        labels = foreground_labels(
            batch_img_metas, self.num_classes, type(self).__name__
        )
        groups = None
        if self.color_groups is not None:
            groups = self._read_groups(inputs, batch_img_metas)
        cams = self.predict_by_feat(
            self._run(inputs, labels, groups), batch_img_metas
        )
        cams = gate_by_labels(cams, labels)
        return torch.cat([background_score(cams, **self.background), cams], 1)

    def forward(self, inputs: tuple) -> Tensor:
        """Return CAMs of all classes without labels, (B, K - 1, h, w).

        Superpixels are left out: features do not say of which image they are.
        """
        everything = tuple(range(self.num_classes - 1))
        return self._run(inputs, [everything] * len(inputs[0]))

    def _run(
        self,
        inputs: tuple,
        labels: Sequence[tuple[int, ...]],
        groups: Tensor | None = None,
    ) -> Tensor:
        """Return CAMs in [0, 1], (B, K - 1, h, w)."""
        tokens = find_tokens(inputs, type(self).__name__)
        text = self._text()
        with torch.autocast(text.device.type, enabled=False):
            cams = self.normalized_cams(tokens, text.float(), labels)
            if self.affinity is not None:
                givers = None
                if groups is not None:
                    givers = superpixel_mask(
                        cams, groups, **self.giver_thresholds
                    )
                spread = self.affinity(
                    cams, tokens, text=text.float(), givers=givers
                )
                cams = normalize_cam(spread)
            if self.propagation is not None:
                cams = normalize_cam(self._propagate(cams, inputs, tokens))
        return cams

    def _read_groups(self, inputs: tuple, metas: list[dict]) -> Tensor:
        """Return the colour group of each pixel, (B, H, W)."""
        tokens = find_tokens(inputs, type(self).__name__)
        stride = tokens.tower.patch_size
        size = (tokens.grid[0] * stride, tokens.grid[1] * stride)
        device = tokens.patch_embeddings.device
        return self.color_groups(metas, size, device).ids

    def _propagate(
        self, cams: Tensor, inputs: tuple, tokens: CLIPTokens
    ) -> Tensor:
        """Spread CAMs over the graph of their patches, (B, K - 1, h, w)."""
        options = dict(self.propagation or {})
        levels = options.pop('levels', ())
        size = (cams.shape[2], cams.shape[3])
        if levels and len(inputs) < 3:
            raise ValueError(
                f'propagation has levels={tuple(levels)}, and the backbone '
                "gives CLIP's own map alone: set type='GuidedEncoderDecoder' "
                "and guide=dict(type='TimmFeatures', ...) of the model, or "
                "leave levels out to compare CLIP's patch embeddings"
            )
        features = pick_levels(inputs[:-1], levels, 'propagation')
        unit = unit_features(
            features or [tokens.patch_embeddings], size, centred=False
        )
        stride = tokens.tower.patch_size * tokens.grid[0] / size[0]
        return propagate_maps(cams, unit, grid_places(size, stride), **options)

    def _text(self) -> Tensor:
        check_foreground_text(self.text, self.num_classes, type(self).__name__)
        return self.text()
