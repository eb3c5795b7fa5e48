"""Test-time augmentation that keeps scores, as a running sum."""

from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList

from .scores import activate


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
        """Predict every view of a batch and average.

        Args:
            data: ``inputs`` and ``data_samples``, each a list of views.
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
