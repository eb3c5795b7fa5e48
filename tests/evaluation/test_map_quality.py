import numpy as np
import pytest

from mmseg_weakclip.evaluation.map_quality import (
    MapQuality,
    map_quality,
    sample_quality,
    summarize_quality,
)


def test_by_hand():
    cam = np.array([[0.9, 0.2, 0.6], [0.6, 0.1, 0.7]])
    inside = np.array([[1, 1, 0], [1, 0, 0]], bool)
    quality = map_quality(cam, inside)
    # 0.9 beats all three others; 0.6 beats 0.1 and ties with 0.6; 0.2 beats
    # 0.1: (3 + 1.5 + 1) of 9 pairs.
    assert quality.ranking == pytest.approx(5.5 / 9)
    assert quality.coverage == pytest.approx(2 / 3)
    assert quality.purity == pytest.approx(2 / 4)


def test_ranking_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    cam = rng.integers(0, 6, (7, 5)) / 5
    inside = rng.random((7, 5)) < 0.4
    own, others = cam[inside][:, None], cam[~inside][None]
    expected = (own > others).mean() + (own == others).mean() / 2
    quality = map_quality(cam, inside)
    assert quality.ranking == pytest.approx(expected)
    turned = map_quality(1 - cam, inside)
    assert turned.ranking == pytest.approx(1 - expected)


def test_nothing_above_the_threshold():
    inside = np.array([True, False])
    quality = map_quality(np.array([0.4, 0.2]), inside)
    assert quality.ranking == 1
    assert quality.coverage == 0
    assert np.isnan(quality.purity)


def test_ignored_pixels_and_classes_out_of_sight_do_not_count():
    truth = np.array([[1, 1, 0], [255, 255, 0]])
    scores = np.stack([[[0.9, 0.9, 0.1], [0, 0, 0.1]]] * 2)
    (only,) = sample_quality(scores, [1, 2], truth)
    assert only == MapQuality(1, 1, 1)


def test_summary():
    qualities = [
        MapQuality(0.4, 0.0, float('nan')),
        MapQuality(0.5, 0.5, 0.25),
        MapQuality(1.0, 1.0, 0.75),
        MapQuality(0.9, 0.5, 0.5),
    ]
    summary = summarize_quality(qualities)
    assert summary == pytest.approx(
        dict(wrong_sign=25, coverage=50, purity=50)
    )


def test_bad_input():
    with pytest.raises(ValueError, match='has 0 of 4 pixels'):
        map_quality(np.zeros(4), np.zeros(4, bool))
    with pytest.raises(ValueError, match='has 4 of 4 pixels'):
        map_quality(np.zeros(4), np.ones(4, bool))
    with pytest.raises(ValueError, match=r'map \(4,\) with a mask \(3,\)'):
        map_quality(np.zeros(4), np.ones(3, bool))
    with pytest.raises(ValueError, match='no class map'):
        summarize_quality([])
