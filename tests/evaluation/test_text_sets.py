import math

import pytest

from mmseg_weakclip.evaluation.threshold_metrics import set_precision_recall


def test_by_hand():
    truth = {'a': ['sea', 'sky'], 'b': ['sea'], 'c': ['road']}
    found = {'a': ['sea', 'car', 'sea'], 'b': ['sea']}
    # Found: sea and car, sea; true among them: two. To be found: four.
    score = set_precision_recall(found, truth)
    assert score == (pytest.approx(2 / 3), pytest.approx(1 / 2))
    assert set_precision_recall(truth, truth) == (1, 1)


def test_nothing():
    score = set_precision_recall({}, {'a': ['sea']})
    assert math.isnan(score.precision)
    assert score.recall == 0
    assert math.isnan(set_precision_recall({'a': []}, {'a': []}).recall)


def test_unknown_key():
    with pytest.raises(ValueError, match="lacks 1 of 2 keys, .* 'b'"):
        set_precision_recall({'a': [], 'b': []}, {'a': []})
