"""Two networks that label each other's unsure pixels (BECO-lite).

Rong et al., "Boundary-enhanced Co-training for Weakly Supervised Semantic
Segmentation" (CVPR 2023).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmseg_weakclip.models.progress import training_progress
from mmseg_weakclip.models.samples import shown_classes

from .class_mix import mix_classes
from .plain_heads import check_plain_head, check_plain_loss


@MODELS.register_module()
class CrossLabelSegmentor(EncoderDecoder):
    """``EncoderDecoder`` twice, for masks with pixels that are unsure.

    Both networks see the batch. Sure pixels teach both. On an unsure pixel
    each learns the other's class::

        L = mean[m CE(s_1, Y) (1 + w b)] + mean[m CE(s_2, Y) (1 + w b)]
            + mean[(1 - m) CE(s_1, argmax s_2)]
            + mean[(1 - m) CE(s_2, argmax s_1)]

    over the pixels of the images without padding. m is 1 where the mask Y has
    a class and 0 where it is ignored: ``weakclip refine --sure-share .5``
    writes masks with the surer half of each class's pixels, as in the paper.
    Later, half of the batches are mixed (:func:`mix_classes`), with the
    networks' own labels, and b is 1 at the outline of what is pasted. The
    prediction is the mean of both networks' logits.

    ``model.type=CrossLabelSegmentor`` turns a config of an
    ``EncoderDecoder`` with a plain cross entropy into one. A training step
    costs twice as much, and by count about a sixth more for the predictions
    that mixing needs; a test costs twice as much.

    Args:
        args: Positional arguments of ``EncoderDecoder``.
        mix: Probability that a batch is mixed, in [0, 1]. Batches of one
            image never are.
        mix_start: Share of the training before the first mixed batch; one of
            80 epochs in the paper.
        mix_threshold: Probability above which both networks together are sure
            of a pixel that is pasted, or learnt in a mixed batch.
        outline_weight: Weight w of the outline.
        cross_start: Share of the training before the networks label each
            other's unsure pixels; 0 in the paper, whose training has 53,000
            iterations. Networks that have learnt little agree on the
            background, and teach each other that: short trainings need it.
        own_classes: Whether the networks may give each other only classes
            that the image's mask shows, and the background. The paper has
            all classes.
        kwargs: Other arguments of ``EncoderDecoder``. The decode head can
            have no loss but a plain cross entropy, and there can be no
            auxiliary head.

    Raises:
        ValueError: There is an auxiliary head, a share is not in [0, 1], or
            the decode head has a loss or a prediction of its own.
    """

    def __init__(
        self,
        *args,
        mix: float = 0.5,
        mix_start: float = 1 / 80,
        mix_threshold: float = 0.95,
        outline_weight: float = 0.2,
        cross_start: float = 0.0,
        own_classes: bool = True,
        **kwargs,
    ) -> None:
        if kwargs.get('auxiliary_head') is not None:
            raise ValueError(
                'CrossLabelSegmentor has no place for an auxiliary head: set '
                'model.auxiliary_head=None'
            )
        # The first build may write into the configs, such as `pretrained`.
        again = deepcopy((args, kwargs))
        super().__init__(*args, **kwargs)
        user = type(self).__name__
        steps = ('loss', 'loss_by_feat', 'predict')
        check_plain_head(self.decode_head, user, steps)
        check_plain_loss(self.decode_head, user)
        for name, share in (
            ('mix', mix),
            ('mix_start', mix_start),
            ('mix_threshold', mix_threshold),
            ('cross_start', cross_start),
        ):
            if not 0 <= share <= 1:
                raise ValueError(f'{name}={share} must be in [0, 1]')
        args, kwargs = again
        without_images = {
            name: value
            for name, value in kwargs.items()
            if name not in ('data_preprocessor', 'init_cfg')
        }
        self.second = EncoderDecoder(*args, **without_images)
        self.mix = mix
        self.mix_start = mix_start
        self.mix_threshold = mix_threshold
        self.outline_weight = outline_weight
        self.cross_start = cross_start
        self.own_classes = own_classes

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict:
        """Compute the losses of both networks; their sum is the loss.

        Args:
            inputs: Images, (B, 3, H, W).
            data_samples: Samples with ``gt_sem_seg`` (1, H, W), all of a size.

        Returns:
            ``decode.loss_sure`` and ``decode.loss_cross``, and those of the
            second network, ``second.*``; in percent, ``unsure`` pixels, and
            those on which both ``agree``.
        """
        ignored = self.decode_head.ignore_index
        labels = torch.cat([s.gt_sem_seg.data for s in data_samples]).long()
        inside = _inside(data_samples, labels)
        outline = torch.zeros_like(inside)
        allowed = None
        if self.own_classes:
            allowed = shown_classes(labels, self.num_classes, ignored)
        if self._mixes(len(inputs)):
            probabilities = self._own_probabilities(inputs, labels.shape[1:])
            if allowed is not None:
                probabilities = probabilities * allowed[..., None, None]
                # What is pasted brings its classes along.
                allowed = allowed | allowed.roll(-1, 0)
            inputs, labels, outline, inside = mix_classes(
                inputs, probabilities, inside, self.mix_threshold, ignored
            )
        logits = [
            self._resized(network, inputs, labels.shape[1:])
            for network in self._networks()
        ]
        own = [_classes(maps, allowed) for maps in logits]
        sure = (labels != ignored) & inside
        unsure = inside & ~sure
        count = inside.sum().clamp(min=1)
        weights = sure * (1 + self.outline_weight * outline) / count
        cross = unsure * float(training_progress() >= self.cross_start)
        losses = {}
        for name, maps, others in zip(('decode', 'second'), logits, own[::-1]):
            learnt = F.cross_entropy(
                maps, labels, ignore_index=ignored, reduction='none'
            )
            given = F.cross_entropy(maps, others, reduction='none')
            losses[f'{name}.loss_sure'] = (learnt * weights).sum()
            losses[f'{name}.loss_cross'] = (given * cross).sum() / count
        both = (own[0] == own[1]) & inside
        losses['unsure'] = 100 * unsure.sum() / count
        losses['agree'] = 100 * both.sum() / count
        return losses

    def encode_decode(
        self, inputs: Tensor, batch_img_metas: list[dict]
    ) -> Tensor:
        """Return the mean of both networks' logits.

        Args:
            inputs: Images, (B, 3, H, W).
            batch_img_metas: Their metadata.

        Returns:
            Logits, (B, K, H, W).
        """
        first = super().encode_decode(inputs, batch_img_metas)
        return (first + self.second.encode_decode(inputs, batch_img_metas)) / 2

    def _forward(
        self,
        inputs: Tensor,
        data_samples: list[SegDataSample] | None = None,
    ) -> Tensor:
        """Return the mean of both networks' logits on their grid."""
        maps = [_logits(network, inputs) for network in self._networks()]
        return torch.stack(maps).mean(0)

    def _networks(self) -> tuple[EncoderDecoder, EncoderDecoder]:
        return self, self.second

    def _mixes(self, batch: int) -> bool:
        """Return whether this batch is mixed."""
        if not self.mix or training_progress() < self.mix_start:
            return False
        return batch > 1 and float(torch.rand(())) < self.mix

    @torch.no_grad()
    def _own_probabilities(
        self, inputs: Tensor, size: tuple[int, ...]
    ) -> Tensor:
        """Return what both networks say as in a test, (B, K, H, W)."""
        with _evaluating(self):
            maps = [
                self._resized(network, inputs, size)
                for network in self._networks()
            ]
        return torch.stack(maps).mean(0).softmax(1)

    def _resized(
        self, network: EncoderDecoder, inputs: Tensor, size: tuple[int, ...]
    ) -> Tensor:
        """Return logits of pixels, float32, (B, K, H, W)."""
        maps = resize(
            _logits(network, inputs),
            size=tuple(size),
            mode='bilinear',
            align_corners=self.align_corners,
        )
        return maps.float()


def _logits(network: EncoderDecoder, inputs: Tensor) -> Tensor:
    return network.decode_head.forward(network.extract_feat(inputs))


def _classes(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Return the best allowed class of pixels, (B, H, W)."""
    logits = logits.detach()
    if allowed is not None:
        logits = logits.masked_fill(~allowed[..., None, None], -torch.inf)
    return logits.argmax(1)


def _inside(samples: SampleList, labels: Tensor) -> Tensor:
    """Return whether a pixel is of the image, not of its padding."""
    inside = torch.zeros_like(labels, dtype=torch.bool)
    for plane, sample in zip(inside, samples):
        height, width = sample.metainfo.get('img_shape', labels.shape[1:])[:2]
        plane[:height, :width] = True
    return inside


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model as in a test, and put each part back as it was."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
