"""Test-time augmentation that averages scores as a running sum."""

from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList

from mmseg_weakclip.evaluation.areas import activate


@MODELS.register_module()
class RunningTTAModel(SegTTAModel):
    """Average the scores of all views, holding one view at a time.

    mmseg's own model keeps the logits of every view (1.3 GB for twelve views
    of a COCO image) and throws the average away. Here the average stays on
    the sample as ``seg_scores`` (K, H, W), for writers of pseudo masks.

    Args:
        activation: ``'softmax'``, or ``'none'`` for CAM heads.
        kwargs: See ``SegTTAModel``.
    """

    def __init__(self, *args, activation: str = 'softmax', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.activation = activation

    def test_step(self, data: dict) -> SampleList:
        """Predict every view of a batch and average the scores.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views.

        Returns:
            One sample per image, with ``seg_scores`` (K, H, W) and
            ``pred_sem_seg`` (1, H, W).
        """
        views = len(data['inputs'])
        totals, samples = [], []
        for view in range(views):
            predicted = self.module.test_step(
                {key: value[view] for key, value in data.items()}
            )
            for index, sample in enumerate(predicted):
                scores = activate(sample.seg_logits.data, self.activation)
                if view == 0:
                    del sample.seg_logits
                    # Not in place: these may be the network's own output.
                    totals.append(scores.clone())
                    samples.append(sample)
                else:
                    totals[index] += scores
        for sample, total in zip(samples, totals):
            total /= views
            sample.set_data(
                {
                    'seg_scores': PixelData(data=total),
                    'pred_sem_seg': PixelData(
                        data=total.argmax(0, keepdim=True)
                    ),
                }
            )
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
