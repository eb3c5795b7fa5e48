import itertools
import math
from collections import Counter

import numpy as np
import pytest

from mmseg_weakclip.datasets.balanced_sampler import (
    RepeatFactorSampler,
    repeat_factors,
)
from mmseg_weakclip.datasets.transforms import LoadImageLabels


class Photos:
    """Photos of which one in a hundred shows class 2, half show class 1."""

    def __init__(self, labels):
        self.labels = labels
        loader = LoadImageLabels('labels.json')
        loader.labels_of = lambda name, classes: labels[int(name)]
        self.pipeline = [loader]

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        return dict(img_path=f'photos/{index}.jpg', classes=('a', 'b'))


LABELS = [(2,), *[(1,)] * 50, *[(3,)] * 49]


def make(seed=3, **options):
    return RepeatFactorSampler(Photos(LABELS), seed=seed, **options)


def draws(sampler, count):
    return [
        (int(draw), draw.position) for draw in itertools.islice(sampler, count)
    ]


def test_factors_by_hand():
    """f = 1/4, 3/4, 1/4: r = sqrt(.5 / .25) for the first and the last."""
    labels = [(1,), (2,), (2, 3), (2,)]
    root = math.sqrt(2)
    assert repeat_factors(labels, 0.5) == pytest.approx([root, 1, root, 1])
    assert repeat_factors(labels, 0.25).tolist() == [1, 1, 1, 1]
    # No class is as any other; a class twice counts once.
    assert repeat_factors([(), (1, 1)], 0.5).tolist() == [1, 1]


def test_rare_images_are_drawn_by_their_factor():
    sampler = make()
    # sqrt(.1 / .01) = 3.162 for one image, 99 others; 102 draws in all.
    assert len(sampler) == 102
    counts = Counter(i for i, _ in draws(sampler, 200 * 102))
    assert counts[0] / 200 == pytest.approx(3.162 * 102 / 102.162, abs=0.03)
    for epoch in range(20):
        order = sampler._order(epoch)
        assert len(order) == 102
        one = Counter(order.tolist())
        assert one[0] in (3, 4)
        assert all(0 <= one[i] <= 2 for i in range(1, 100))


def test_epochs_depend_on_the_seed_only():
    stream = draws(make(), 300)
    assert [position for _, position in stream] == list(range(300))
    assert draws(make(), 300) == stream
    assert draws(make(seed=4), 300) != stream
    assert stream[:102] != stream[102:204]


@pytest.mark.parametrize('count', [1, 101, 102, 250])
def test_skipping_equals_drawing(count):
    whole = draws(make(), count + 40)
    sampler = make()
    sampler.skip(count)
    assert draws(sampler, 40) == whole[count:]


@pytest.mark.parametrize('skipped', [0, 7])
def test_ranks_share_one_stream(monkeypatch, skipped):
    whole = draws(make(), 120)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(
            'mmseg_weakclip.datasets.sampler.get_dist_info',
            lambda rank=rank: (rank, 3),
        )
        sampler = make()
        sampler.skip(skipped)
        parts.append(draws(sampler, 40 - skipped))
    merged = [draw for step in zip(*parts) for draw in step]
    assert merged == whole[3 * skipped :]


def test_equal_classes_are_a_permutation():
    sampler = RepeatFactorSampler(Photos([(1,), (2,)] * 5), seed=0)
    assert sorted(sampler._order(0).tolist()) == list(range(10))


def test_large_sets_lose_no_draw():
    rng = np.random.default_rng(0)
    labels = [(int(k),) for k in rng.zipf(1.5, 5000).clip(max=80)]
    sampler = RepeatFactorSampler(Photos(labels), seed=1)
    for epoch in range(5):
        assert len(sampler._order(epoch)) == len(sampler)


def test_refusals():
    with pytest.raises(ValueError, match='list has no LoadImageLabels'):
        RepeatFactorSampler([1, 2])
    with pytest.raises(ValueError, match=r'threshold=0 .* \(0, 1\]'):
        make(threshold=0)
    with pytest.raises(ValueError, match='shuffle=False'):
        make(shuffle=False)
