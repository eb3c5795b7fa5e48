import numpy as np
import pytest
import torch

from mmseg_weakclip.evaluation.areas import (
    activate,
    areas_of,
    class_areas,
    class_ious,
    confusion_matrix,
    iou_table,
    sample_scores,
)


def test_activations(device):
    logits = torch.randn(3, 4, 5, device=device)
    assert torch.allclose(activate(logits, 'softmax'), logits.softmax(0))
    assert torch.equal(activate(logits, 'none'), logits)
    with pytest.raises(ValueError, match="activation='tanh'"):
        activate(logits, 'tanh')


def test_averaged_scores_come_first():
    logits = dict(data=torch.randn(3, 4, 5))
    scores = dict(data=torch.rand(3, 4, 5))
    sample = dict(seg_logits=logits, seg_scores=scores)
    assert sample_scores(sample, 'softmax') is scores['data']
    del sample['seg_scores']
    assert torch.allclose(
        sample_scores(sample, 'softmax'), logits['data'].softmax(0)
    )


def test_areas_by_hand():
    truth = np.array([[0, 1, 1], [2, 255, 255]])
    prediction = np.array([[0, 1, 2], [2, 2, 0]])
    expected = [[1, 1, 1], [1, 1, 2], [1, 2, 1]]
    assert class_areas(prediction, truth, 3).tolist() == expected
    assert class_ious(np.array(expected)).tolist() == [100.0, 50.0, 50.0]


def test_ignored_predictions_are_wrong():
    truth = np.array([0, 1, 1])
    areas = class_areas(np.array([255, 1, 255]), truth, 2)
    assert areas.tolist() == [[0, 1], [0, 1], [1, 2]]


def test_confusion_by_hand():
    truth = np.array([[0, 0, 1, 2], [255, 2, 2, 1]], np.uint8)
    prediction = np.array([[0, 1, 1, 255], [2, 2, 0, 1]], np.uint8)
    np.testing.assert_array_equal(
        confusion_matrix(prediction, truth, 3),
        [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 1]],
    )


def test_areas_of_a_confusion_matrix():
    rng = np.random.default_rng(0)
    truth, prediction = (
        rng.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8) for _ in range(2)
    )
    np.testing.assert_array_equal(
        areas_of(confusion_matrix(prediction, truth, 3)),
        class_areas(prediction, truth, 3),
    )


def test_ids_of_no_class():
    truth = np.array([0, 1, 7, 255], np.uint8)
    prediction = np.array([0, 9, 1, 1], np.uint8)
    # Predictions count wherever the truth is not ignored.
    areas = class_areas(prediction, truth, 2)
    assert areas.tolist() == [[1, 0], [1, 1], [1, 1]]
    assert areas.dtype == np.int64
    with pytest.raises(ValueError, match='class ids beyond 1 that are not'):
        confusion_matrix(prediction, truth, 2)
    # More classes than their type can count.
    assert class_areas(prediction, truth, 300)[2].sum() == 3


def test_a_class_that_nobody_mentions_is_nan():
    ious = class_ious(np.array([[1, 0, 0], [1, 0, 3], [1, 0, 0]]))
    assert ious[0] == 100
    assert np.isnan(ious[1])
    assert ious[2] == 0


def test_agrees_with_mmseg():
    from mmseg.evaluation import IoUMetric

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (20, 30))
    truth[rng.random(truth.shape) < 0.1] = 255
    prediction = rng.integers(0, 5, (20, 30))
    intersect, union, predicted, label = IoUMetric.intersect_and_union(
        torch.from_numpy(prediction), torch.from_numpy(truth), 5, 255
    )
    ours = class_areas(prediction, truth, 5)
    assert (
        ours.tolist()
        == torch.stack([intersect, predicted, label]).long().tolist()
    )
    assert class_ious(ours) == pytest.approx((100 * intersect / union).numpy())


def test_table():
    table = iou_table(('sky', 'boat'), raw=np.array([50.0, np.nan]))
    assert '50.00' in table
    assert 'boat' in table
    assert 'mean' in table
