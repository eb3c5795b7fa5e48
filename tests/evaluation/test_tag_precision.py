import itertools
import json
import math

import numpy as np
import pytest
import torch

from mmseg_weakclip.evaluation.tag_precision import (
    FEW,
    GOOD,
    POOR,
    TagPrecision,
    average_precision,
    describe_tags,
    judge_class,
)


def test_precision_by_hand():
    """Hits at places 1 and 3 of 4: (1 + 2/3) / 2."""
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    present = np.array([True, False, True, False])
    assert average_precision(scores, present) == pytest.approx(5 / 6)
    assert average_precision(-scores, present) == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    assert average_precision(scores, present[::-1] | True) == 1
    assert math.isnan(average_precision(scores, present & False))


def test_equal_scores_are_the_mean_over_their_orders():
    scores = np.array([3.0, 1, 1, 1, 1, 0])
    present = np.array([False, True, False, True, False, True])
    values = []
    for order in itertools.permutations(range(1, 5)):
        mixed = scores.copy()
        mixed[list(order)] += np.arange(4) / 10
        values.append(average_precision(mixed, present))
    expected = np.mean(values)
    assert average_precision(scores, present) == pytest.approx(expected)


def test_precision_of_random_scores_is_about_chance():
    rng = np.random.default_rng(0)
    present = rng.random(4000) < 0.3
    assert average_precision(rng.random(4000), present) == pytest.approx(
        0.3, abs=0.03
    )
    constant = average_precision(np.zeros(4000), present)
    assert constant == pytest.approx(present.mean(), abs=0.01)


@pytest.mark.parametrize(
    ('precision', 'chance', 'images', 'said'),
    [
        (0.9, 0.1, 4, FEW),
        (0.9, 0.97, 97, FEW),
        (0.9, 0.1, 10, GOOD),
        (0.2, 0.1, 10, POOR),
        (0.24, 0.1, 10, GOOD),
        (0.55, 0.5, 50, POOR),
    ],
)
def test_judgement(precision, chance, images, said):
    assert judge_class(precision, chance, images, 100) == said


def make_metric(scores, labels, tmp_path=None, classes=('cat', 'dog')):
    out = None if tmp_path is None else str(tmp_path / 'new/tags.json')
    metric = TagPrecision(out_file=out)
    metric.dataset_meta = dict(classes=('background', *classes))
    samples = [
        dict(
            img_path=f'{i}.jpg',
            image_labels=own,
            seg_logits=dict(
                data=torch.tensor(row)[:, None, None].expand(-1, 2, 3)
            ),
        )
        for i, (row, own) in enumerate(zip(scores, labels))
    ]
    metric.process({}, samples)
    return metric


def test_metric(tmp_path):
    """Cats are known; scores of dogs are those of a coin."""
    labels = [(1,)] * 6 + [(2,)] * 6
    scores = [[0.0, 5, 0]] * 6 + [[0.0, -5, 0]] * 6
    metric = make_metric(scores, labels, tmp_path)
    found = metric.evaluate(12)
    assert found['tags/judged'] == 2
    written = json.loads((tmp_path / 'new/tags.json').read_text())
    cat, dog = written['classes'].values()
    assert (cat['precision'], cat['images']) == (100, 6)
    # Above one half, with few images: the first place alone gives 1/2.
    assert cat['chance'] == dog['chance'] == dog['precision'] > 50
    assert (cat['judgement'], dog['judgement']) == (GOOD, POOR)
    assert found['tags/mAP'] == pytest.approx(
        (cat['precision'] + dog['precision']) / 2, abs=0.01
    )
    (line,) = describe_tags(written)
    assert line.startswith('near chance on held-out images')
    assert 'dog (AP' in line
    assert 'cat' not in line


def test_nothing_learnt_and_too_few(tmp_path):
    labels = [(1,), ()] * 6 + [(2,)]
    metric = make_metric([[0.0, 1, 1]] * 13, labels, tmp_path)
    metric.evaluate(13)
    written = json.loads((tmp_path / 'new/tags.json').read_text())
    nothing, few = describe_tags(written)
    assert 'has learnt nothing: all 1 classes' in nothing
    assert few.endswith('with or without them: dog')
    metric = make_metric([[0.0, 1, 1]], [(1,)])
    assert math.isnan(metric.evaluate(1)['tags/mAP'])


def test_images_without_labels():
    metric = TagPrecision()
    with pytest.raises(ValueError, match='x.jpg comes without image labels'):
        metric.process({}, [dict(img_path='x.jpg')])
