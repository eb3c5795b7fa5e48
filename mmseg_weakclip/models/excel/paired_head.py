"""WeCLIP+'s head: two frozen models, one decoder, online pseudo labels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, SampleList
from torch import Tensor

from mmseg_weakclip.models.clip.tokens import find_tokens
from mmseg_weakclip.models.losses.decode import decode_losses
from mmseg_weakclip.models.samples import foreground_labels

from .head import IntraCorrelationHead, sample_grid
from .super_classes import SuperClassBoundary

SOURCES = ('both', 'clip', 'second')


@MODELS.register_module()
class PairedRelationHead(IntraCorrelationHead):
    """A segmenter on the features of a frozen CLIP and of a second model.

    WeCLIP+ (TPAMI 2025) over ``GuidedEncoderDecoder``, whose guide is the
    second model. Each model has an adapter; one decoder turns the features of
    either into logits, whose mean is the prediction. Labels are made as by
    :class:`IntraCorrelationHead`, but each class map is first multiplied by
    the network's own probability of its class, and the relation that picks
    and weighs CLIP's attention is that of the features of both models.

    Args:
        args: Positional arguments of :class:`IntraCorrelationHead`.
        second_adapter: Config of a module from the second model's features to
            features (B, C, h, w), such as ``MapAdapter``. None is CLIP alone:
            a plain ``EncoderDecoder`` will do, and what needs two branches is
            left out.
        gate: Whether the network's probability gates the class maps.
        relation_of: Features of the relation: of ``'both'`` models, as
            published, or of ``'clip'`` or the ``'second'`` alone.
        cross_loss: Config of a loss of logits and labels by which each branch
            learns what the other predicts; None is without.
        boundary: Arguments of :class:`SuperClassBoundary` (CD-CLIP), a loss
            at the outlines that the second model sees; None is without.
        kwargs: Other arguments of :class:`IntraCorrelationHead`; by default
            the relation is learnt and used from the start.

    Raises:
        ValueError: A value is not allowed.
    """

    def __init__(
        self,
        *args,
        second_adapter: ConfigType | None = None,
        gate: bool = True,
        relation_of: str = 'both',
        cross_loss: ConfigType | None = None,
        boundary: ConfigType | None = None,
        **kwargs,
    ) -> None:
        options = dict(relation='dot', dynamic_start=0)
        super().__init__(*args, **{**options, **kwargs})
        if relation_of not in SOURCES:
            raise ValueError(
                f'relation_of={relation_of!r} must be one of {SOURCES}'
            )
        if self.relation is None and relation_of != SOURCES[0]:
            raise ValueError(
                f'relation_of={relation_of!r} would change nothing beside '
                'relation=None: leave one of them out'
            )
        needed = cross_loss or boundary or relation_of == 'second'
        if second_adapter is None and needed:
            raise ValueError(
                'cross_loss, boundary and the relation of the second model '
                'need second_adapter'
            )
        self.second_adapter = (
            None if second_adapter is None else MODELS.build(second_adapter)
        )
        self.gate = gate
        self.relation_of = relation_of
        self.cross_loss = MODELS.build(cross_loss) if cross_loss else None
        self.boundary = (
            SuperClassBoundary(self.num_classes, **boundary)
            if boundary
            else None
        )

    @property
    def guide_option(self) -> str | None:
        """The option that needs the guide of the segmentor, if any."""
        return None if self.second_adapter is None else 'second_adapter'

    def forward(self, inputs: tuple) -> Tensor:
        """Return the mean of the branches' logits, (B, K, h, w)."""
        return _mean(self._branches(self._features(inputs)))

    def loss(
        self,
        inputs: tuple,
        batch_data_samples: SampleList,
        train_cfg: ConfigType,
    ) -> dict[str, Tensor]:
        """Return losses by name, and the accuracy on pseudo labels in percent.

        Args:
            inputs: Features of the second model, then the output of a
                ``CLIPViT``, tokens last.
            batch_data_samples: Samples with ``img`` and ``image_labels``.
                Their pixel labels are replaced by pseudo labels.
            train_cfg: Not used.

        Raises:
            ValueError: Images or image labels are missing, or the features
                are not those of the second model.
        """
        features = self._features(inputs)
        branches = self._branches(features)
        logits = _mean(branches)
        scores, gate = self._guides_of(features, logits)
        labels = self._make_labels(
            find_tokens(inputs, type(self).__name__),
            batch_data_samples,
            scores,
            gate,
        )
        for sample, own in zip(batch_data_samples, labels):
            sample.gt_sem_seg = PixelData(data=own[None])
        losses = decode_losses(self, logits, batch_data_samples)
        if self.cross_loss is not None:
            losses[f'loss_cross_{self.cross_loss.loss_name}'] = self._cross(
                branches, labels
            )
        if self.boundary is not None:
            name = type(self).__name__
            metas = [sample.metainfo for sample in batch_data_samples]
            nearest = sample_grid(labels, logits.shape[2:])
            losses[self.boundary.loss_name] = self.boundary(
                logits,
                find_tokens(inputs, name),
                inputs[0],
                foreground_labels(metas, self.num_classes, name),
                nearest == self.ignore_index,
            )
        if self.diversity_loss is not None:
            target = self._relation_target(logits, labels)
            losses[self.diversity_loss.loss_name] = self.diversity_loss(
                scores.sigmoid(), target, ignore_index=self.ignore_index
            )
        return losses

    def _features(self, inputs: tuple) -> list[Tensor]:
        """Return the adapted features on CLIP's grid, CLIP's first."""
        tokens = find_tokens(inputs, type(self).__name__)
        features = [self.adapter(tokens)]
        if self.second_adapter is not None:
            if len(inputs) < 3:
                raise ValueError(
                    'second_adapter reads the features of a second model, '
                    f'and {type(self).__name__} got only those of CLIP: set '
                    "type='GuidedEncoderDecoder' and guide=dict(type="
                    "'TimmFeatures', ...) of the model"
                )
            second = self.second_adapter(inputs[0])
            features.append(
                F.interpolate(second, tokens.grid, mode='bilinear')
            )
        return features

    def _guides(self, inputs: tuple) -> tuple[Tensor | None, Tensor | None]:
        features = self._features(inputs)
        return self._guides_of(features, _mean(self._branches(features)))

    def _guides_of(
        self, features: Sequence[Tensor], logits: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the relation of patches, and the probabilities that gate."""
        scores = gate = None
        if self.relation is not None:
            scores = self._relation_scores(self._related(features))
        if self.gate:
            gate = logits.detach().float().softmax(1)[:, 1:]
        return scores, gate

    def _branches(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of each model's features."""
        return [self._decode(maps) for maps in features]

    def _related(self, features: Sequence[Tensor]) -> Tensor:
        """Return the features that the relation compares, (B, C', h, w)."""
        chosen = {'both': slice(None), 'clip': slice(1), 'second': slice(1, 2)}
        return torch.cat(features[chosen[self.relation_of]], 1)

    def _cross(self, branches: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the sum of the losses of each branch on the other's classes.

        Padding, which is ignored in the labels, is ignored here as well.
        """
        padding = labels == self.ignore_index
        first, second = (
            resize(
                maps,
                labels.shape[1:],
                mode='bilinear',
                align_corners=self.align_corners,
            )
            for maps in branches
        )
        return sum(
            self.cross_loss(
                own,
                other.detach()
                .argmax(1)
                .masked_fill(padding, self.ignore_index),
                ignore_index=self.ignore_index,
            )
            for own, other in ((first, second), (second, first))
        )


def _mean(branches: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(branches)).mean(0)
