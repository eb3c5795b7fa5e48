"""Test-time augmentation that averages scores as a running sum."""

from collections.abc import Iterable

import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_weakclip.evaluation.areas import activate


@MODELS.register_module()
class RunningTTAModel(SegTTAModel):
    """Average the scores of all views, holding one view at a time.

    mmseg's own model keeps the logits of every view (1.3 GB for twelve views
    of a COCO image) and throws the average away. Here the average stays on
    the sample as ``seg_scores`` (K, H, W), for writers of pseudo masks.

    Args:
        activation: ``'softmax'``, which averages probabilities; ``'none'``
            for CAM heads, and for networks whose logits are averaged.
        average_scale: Factor of the images' size at which scores are
            averaged; the average is enlarged to the size bilinearly. ExCEL's
            code takes 0.2 on COCO, to save memory.
        kwargs: See ``SegTTAModel``.

    Raises:
        ValueError: The factor is not in (0, 1].
    """

    def __init__(
        self,
        *args,
        activation: str = 'softmax',
        average_scale: float = 1.0,
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

    def test_step(self, data: dict) -> SampleList:
        """Predict every view of a batch and average the scores.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views.

        Returns:
            One sample per image, with ``seg_scores`` (K, H, W) and
            ``pred_sem_seg`` (1, H, W).
        """
        sizes = _sizes_of(data)
        views = range(len(data['inputs']))
        return self._average((self._predict(data, v) for v in views), sizes)

    def _predict(self, data: dict, view: int) -> SampleList:
        """Predict a view, with logits at the size of the average."""
        batch = {key: value[view] for key, value in data.items()}
        if self.average_scale != 1:
            for sample in batch['data_samples']:
                height, width = (
                    max(1, round(side * self.average_scale))
                    for side in sample.ori_shape
                )
                # mmseg resizes the logits to it.
                sample.set_metainfo(dict(ori_shape=(height, width)))
        return self.module.test_step(batch)

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
            for index, sample in enumerate(found):
                scores = activate(sample.seg_logits.data, self.activation)
                if views == 1:
                    del sample.seg_logits
                    # Not in place: these may be the network's own output.
                    totals.append(scores.clone())
                    samples.append(sample)
                else:
                    totals[index] += scores
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


def _sizes_of(data: dict) -> list[tuple[int, int] | None]:
    """Return the size of each image of a batch, where it is known."""
    return [sample.get('ori_shape') for sample in data['data_samples'][0]]


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

        def predict(view: int) -> SampleList:
            # Views are counted without the single one.
            return single if view - 1 == shared else self._predict(data, view)

        views = range(1, len(data['inputs']))
        samples = self._average(map(predict, views), sizes)
        for sample, value in zip(samples, logits):
            sample.set_data({'seg_logits': PixelData(data=value)})
        return samples


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
