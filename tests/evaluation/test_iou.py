import torch
from mmseg.registry import METRICS

from mmseg_weakclip.evaluation.iou import PartialIoUMetric


def run(samples):
    metric = PartialIoUMetric()
    metric.dataset_meta = dict(classes=('background', 'a'))
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def make_sample(prediction, truth=None):
    sample = dict(pred_sem_seg=dict(data=torch.tensor([prediction])))
    if truth is not None:
        sample['gt_sem_seg'] = dict(data=torch.tensor([truth]))
    return sample


def test_only_what_has_truth_counts():
    known = make_sample([[0, 1, 1, 1]], [[0, 1, 1, 0]])
    unknown = make_sample([[1, 1, 1, 1]])
    assert run([known, unknown]) == run([known])
    assert run([known])['mIoU'] == round(100 * (1 / 2 + 2 / 3) / 2, 2)


def test_no_truth_at_all():
    assert run([make_sample([[0, 1]])]) == {}


def test_the_former_name_still_works():
    assert type(METRICS.build(dict(type='IoUWhereTruth'))) is PartialIoUMetric
