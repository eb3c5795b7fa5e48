"""Test-time augmentation that averages scores as a running sum."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_weakclip.evaluation.areas import activate

# Scores that are activated at once, 256 MiB.
NUMBERS_AT_ONCE = 2**26


@MODELS.register_module()
class RunningTTAModel(SegTTAModel):
    """Average the scores of all views, holding one view at a time.

    mmseg's own model keeps the logits of every view (1.3 GB for twelve views
    of a COCO image) and throws the average away. Here the average stays on
    the sample as ``seg_scores`` (K, H, W), for writers of pseudo masks.

    Besides the network, the largest memory is that of two maps of scores, the
    sum and one view's: 8 K H W bytes for an image of H x W pixels.

    Args:
        activation: ``'softmax'``, which averages probabilities; ``'none'``
            for CAM heads, and for networks whose logits are averaged.
        average_scale: Factor of the images' size at which scores are
            averaged; the average is enlarged to the size bilinearly. ExCEL's
            code takes 0.2 on COCO, to save memory.
        batch_pixels: Neighbouring views of one shape, such as an image and
            its flip, go through the network together if they have no more
            pixels than this, as inputs and as images; 0 runs each alone.
        kwargs: See ``SegTTAModel``.

    Raises:
        ValueError: The factor is not in (0, 1].
    """

    def __init__(
        self,
        *args,
        activation: str = 'softmax',
        average_scale: float = 1.0,
        batch_pixels: int = 2**21,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < average_scale <= 1:
            raise ValueError(
                f'average_scale={average_scale} of {type(self).__name__} must '
                'be above 0 and at most 1'
            )
        self.activation = activation
        self.average_scale = average_scale
        self.batch_pixels = batch_pixels

    def test_step(self, data: dict) -> SampleList:
        """Predict every view of a batch and average the scores.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views.

        Returns:
            One sample per image, with ``seg_scores`` (K, H, W) and
            ``pred_sem_seg`` (1, H, W).
        """
        sizes = _sizes_of(data)
        groups = self._group(data, range(len(data['inputs'])))
        return self._average(self._predict(data, groups), sizes)

    def _group(self, data: dict, views: Iterable[int]) -> list[list[int]]:
        """Return the views, those that go through the network together."""
        groups: list[list[int]] = []
        for view in views:
            last = groups[-1] if groups else []
            if last and _shapes(data, last[-1]) == _shapes(data, view):
                pixels = (len(last) + 1) * _largest(data, view)
                if pixels <= self.batch_pixels:
                    last.append(view)
                    continue
            groups.append([view])
        return groups

    def _predict(
        self, data: dict, groups: Iterable[list[int]]
    ) -> Iterator[SampleList]:
        """Yield each view, with logits at the size of the average."""
        for group in groups:
            batch = {
                key: [one for view in group for one in value[view]]
                for key, value in data.items()
            }
            if self.average_scale != 1:
                for sample in batch['data_samples']:
                    height, width = (
                        max(1, round(side * self.average_scale))
                        for side in sample.ori_shape
                    )
                    # mmseg resizes the logits to it; what goes by the image
                    # itself, such as its regions, needs the true size.
                    sizes = dict(
                        true_shape=sample.ori_shape, ori_shape=(height, width)
                    )
                    sample.set_metainfo(sizes)
            samples = self.module.test_step(batch)
            images = len(samples) // len(group)
            for first in range(0, len(samples), images):
                yield samples[first : first + images]

    # Views are added up in place, which a graph would forbid.
    @torch.no_grad()
    def _average(
        self,
        predicted: Iterable[SampleList],
        sizes: list[tuple[int, int] | None],
    ) -> SampleList:
        """Average the scores of views, which are predicted one by one.

        Returns:
            The samples of the first view, with the averages at their sizes.
        """
        totals: list[Tensor] = []
        samples: SampleList = []
        views = 0
        for views, found in enumerate(predicted, 1):
            if views == 1:
                samples = found
                totals = [
                    torch.zeros_like(s.seg_logits.data, dtype=torch.float32)
                    for s in found
                ]
            for total, sample in zip(totals, found):
                self._add(total, sample.seg_logits.data)
                # Nothing of this view is kept while the next is predicted.
                del sample.seg_logits
                if 'pred_sem_seg' in sample:
                    del sample.pred_sem_seg
        for sample, scores, size in zip(samples, totals, sizes):
            scores /= views
            if self.average_scale != 1 and size is not None:
                scores = F.interpolate(
                    scores[None], size, mode='bilinear', align_corners=False
                )[0]
                sample.set_metainfo(dict(ori_shape=size))
            sample.set_data(
                {
                    'seg_scores': PixelData(data=scores),
                    'pred_sem_seg': PixelData(
                        data=scores.argmax(0, keepdim=True)
                    ),
                }
            )
        return samples

    def _add(self, total: Tensor, logits: Tensor) -> None:
        """Add the scores of a view, (K, H, W), some rows at a time."""
        numbers = max(1, logits[:, 0].numel())
        rows = max(1, NUMBERS_AT_ONCE // numbers)
        for part, own in zip(total.split(rows, 1), logits.split(rows, 1)):
            part += activate(own, self.activation)


def _sizes_of(data: dict) -> list[tuple[int, int] | None]:
    """Return the size of each image of a batch, where it is known."""
    return [sample.get('ori_shape') for sample in data['data_samples'][0]]


def _shapes(data: dict, view: int) -> list[tuple[int, ...]]:
    """Return the shape of each input of a view."""
    return [tuple(image.shape) for image in data['inputs'][view]]


def _largest(data: dict, view: int) -> int:
    """Return the pixels of a view, of its inputs or of its images."""
    shapes = [shape[-2:] for shape in _shapes(data, view)]
    sizes = [
        sample.get('ori_shape', (0, 0))[:2]
        for sample in data['data_samples'][view]
    ]
    return max(sum(h * w for h, w in sides) for sides in (shapes, sizes))


@MODELS.register_module()
class ProtocolTTAModel(RunningTTAModel):
    """Predict a single view besides the average of several, in one pass.

    The samples come from ``SingleAndViews``. Each keeps the logits of the
    single view as ``seg_logits``, from which ``ProtocolMetric`` scores both. A
    view that equals the single one is not computed twice, unless averages have
    another size.

    Args:
        kwargs: See ``RunningTTAModel``.
    """

    def test_step(self, data: dict) -> SampleList:
        """Predict the single view and the others; see ``RunningTTAModel``.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views, the
                single one first.

        Returns:
            One sample per image, with ``seg_logits`` of the single view and
            ``seg_scores`` of the average, both (K, H, W).
        """
        sizes = _sizes_of(data)
        single = self.module.test_step(
            {key: value[0] for key, value in data.items()}
        )
        logits = [sample.seg_logits.data for sample in single]
        same = {sample.get('same_view') for sample in single}
        shared = same.pop() if len(same) == 1 else None
        if shared is None or self.average_scale != 1:
            shared = -1

        samples = self._average(self._views(data, single, shared), sizes)
        for sample, value in zip(samples, logits):
            sample.set_data({'seg_logits': PixelData(data=value)})
        return samples

    def _views(
        self, data: dict, single: SampleList, shared: int
    ) -> Iterator[SampleList]:
        """Yield each view; the single one stands for the view ``shared``."""
        # Views are counted without the single one.
        views = range(1, len(data['inputs']))
        before, after = views[: max(0, shared)], views[shared + 1 :]
        yield from self._predict(data, self._group(data, before))
        if shared >= 0:
            yield single
        yield from self._predict(data, self._group(data, after))


@MODELS.register_module()
class CAMTTAModel(RunningTTAModel):
    """Average the CAMs of a ``CAMHead`` over all views, then normalise.

    This is the usual inference of CAMs: only the average of the views is
    divided by its maximum, so that views with weak maps have little weight.

    Raises:
        TypeError: The decode head cannot turn maps into scores as ``CAMHead``
            does.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, activation='none', **kwargs)
        head = self.module.decode_head
        if not hasattr(head, 'to_scores'):
            raise TypeError(
                'CAMTTAModel averages the CAMs of a CAMHead, but the '
                f'decode head is a {type(head).__name__}: use RunningTTAModel'
            )
        head.predicts = 'maps'

    def test_step(self, data: dict) -> SampleList:
        """Predict every view and average; see ``RunningTTAModel``."""
        samples = super().test_step(data)
        for sample in samples:
            maps = sample.seg_scores.data[None, 1:]
            scores = self.module.decode_head.to_scores(maps)[0]
            sample.seg_scores = PixelData(data=scores)
            sample.pred_sem_seg = PixelData(
                data=scores.argmax(0, keepdim=True)
            )
        return samples
