import math

import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_weakclip.evaluation.threshold_metrics import (
    BackgroundIoU,
    LabelAgreement,
    set_precision_recall,
)

CLASSES = ('background', 'a', 'b', 'c')


def run(metric, samples):
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def make_sample(prediction, truth=None, labels=None):
    sample = dict(
        pred_sem_seg=dict(data=torch.tensor([prediction])), img_path='x.jpg'
    )
    if truth is not None:
        sample['gt_sem_seg'] = dict(data=torch.tensor([truth]))
    if labels is not None:
        sample['image_labels'] = labels
    return sample


def test_background_and_foreground_by_hand():
    samples = [
        make_sample([[0, 0, 1, 1]], [[0, 1, 1, 255]]),
        make_sample([[2, 2, 0, 0]], [[2, 0, 0, 0]]),
        make_sample([[1, 1, 1, 1]]),
    ]
    scores = run(BackgroundIoU(), samples)
    # Class c is nowhere.
    assert scores == dict(
        mIoU=pytest.approx(100 * (3 / 5 + 1 / 2 + 1 / 2) / 3),
        background_IoU=pytest.approx(60),
        foreground_mIoU=pytest.approx(50),
        images=2,
    )
    assert run(IoUMetric(), samples[:2])['mIoU'] == round(scores['mIoU'], 2)
    filled = run(BackgroundIoU(nan_to_num=0), samples)
    assert filled['foreground_mIoU'] == pytest.approx(100 / 3)
    assert run(BackgroundIoU(), samples[2:]) == dict(images=0)


def test_labels_by_hand():
    scores = run(
        LabelAgreement(),
        [
            make_sample([[0, 0, 1, 2]], labels=(1, 3)),
            make_sample([[1, 1, 1, 1]], labels=(1,)),
            make_sample([[0, 3, 0, 0]]),
            make_sample([[0, 0, 0, 0]], labels=(2,)),
        ],
    )
    # Found a, b, a; true a, c, a, b; the third image has no labels.
    assert scores == dict(
        background=pytest.approx(100 * 9 / 16),
        classes=pytest.approx(1.0),
        images=3,
        precision=pytest.approx(200 / 3),
        recall=50,
        f1=pytest.approx(400 / 7),
    )


def test_nothing_found_is_no_best():
    scores = run(LabelAgreement(), [make_sample([[0, 0]], labels=(1,))])
    assert math.isnan(scores['precision'])
    assert (scores['recall'], scores['f1']) == (0, 0)


def test_no_labels():
    scores = run(LabelAgreement(), [make_sample([[0, 2]])])
    assert scores == dict(background=50, classes=1, images=0)


def test_truth_is_refused():
    with pytest.raises(ValueError, match='x.jpg comes with its true mask'):
        run(LabelAgreement(), [make_sample([[0, 1]], [[0, 1]])])


def test_sets_by_hand():
    truth = {'a': ['sea', 'sky'], 'b': ['sea'], 'c': ['road']}
    found = {'a': ['sea', 'car', 'sea'], 'b': ['sea']}
    # Found: sea and car, sea; true among them: two. To be found: four.
    score = set_precision_recall(found, truth)
    assert score == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    assert set_precision_recall(truth, truth) == (1, 1)


def test_empty_sets():
    score = set_precision_recall({}, {'a': ['sea']})
    assert math.isnan(score.precision)
    assert score.recall == 0
    assert math.isnan(set_precision_recall({'a': []}, {'a': []}).recall)


def test_sets_of_unknown_keys():
    with pytest.raises(ValueError, match="lacks 1 of 2 keys, .* 'b'"):
        set_precision_recall({'a': [], 'b': []}, {'a': []})
