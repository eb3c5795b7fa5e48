import numpy as np
import pytest
import torch

from mmseg_weakclip.evaluation.areas import class_areas
from mmseg_weakclip.evaluation.cam_metric import CAMMetric, threshold_areas


def make_sample(rng, classes=3, truth=True):
    cams = rng.random((classes, 12, 7)).astype(np.float32)
    cams[rng.integers(classes)] = 0  # a class that the image does not have
    sample = dict(
        img_path='a.jpg',
        seg_logits=dict(
            data=torch.from_numpy(np.concatenate([cams[:1] * 0, cams]))
        ),
    )
    if truth:
        mask = rng.integers(0, classes + 1, (1, 12, 7))
        mask[rng.random(mask.shape) < 0.1] = 255
        sample['gt_sem_seg'] = dict(data=torch.from_numpy(mask))
    return sample, cams


def test_all_thresholds_at_once_equal_one_by_one():
    rng = np.random.default_rng(0)
    thresholds = np.array([0.2, 0.5, 0.75, 0.99])
    for _ in range(5):
        sample, cams = make_sample(rng)
        truth = sample['gt_sem_seg']['data'][0].numpy()
        areas = threshold_areas(cams, truth, thresholds)
        for index, threshold in enumerate(thresholds):
            seed = np.where(cams.max(0) > threshold, cams.argmax(0) + 1, 0)
            expected = class_areas(seed, truth, 4)
            assert areas[index].tolist() == expected.tolist()


def run(metric, samples):
    metric.dataset_meta = dict(classes=('background', 'a', 'b', 'c'))
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_reports_the_fixed_threshold_only():
    rng = np.random.default_rng(0)
    pairs = [make_sample(rng) for _ in range(4)]
    result = run(CAMMetric(threshold=0.37), [sample for sample, _ in pairs])
    total = sum(
        class_areas(
            np.where(cams.max(0) > 0.37, cams.argmax(0) + 1, 0),
            sample['gt_sem_seg']['data'][0].numpy(),
            4,
        )
        for sample, cams in pairs
    )
    union = total[1] + total[2] - total[0]
    expected = 100 * np.mean(total[0] / union)
    assert set(result) == {'seed/mIoU'}
    assert result['seed/mIoU'] == pytest.approx(expected, abs=0.01)


def test_picks_the_best_only_when_asked_and_says_so(caplog):
    rng = np.random.default_rng(0)
    samples = [make_sample(rng)[0] for _ in range(4)]
    warned = []
    metric = CAMMetric(threshold=0.9, pick_best=True)
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    original, logger.warning = (
        logger.warning,
        (lambda *args: warned.append(args[0])),
    )
    try:
        result = run(metric, samples)
    finally:
        logger.warning = original
    assert result['seed/best_mIoU'] >= result['seed/mIoU']
    assert 0 < result['seed/best_threshold'] < 1
    assert 'picked with pixel truth' in warned[0]


def test_bad_input():
    with pytest.raises(ValueError, match='threshold=1.5'):
        CAMMetric(threshold=1.5)
    sample, _ = make_sample(np.random.default_rng(0), truth=False)
    with pytest.raises(ValueError, match='no truth for a.jpg'):
        run(CAMMetric(threshold=0.5), [sample])
