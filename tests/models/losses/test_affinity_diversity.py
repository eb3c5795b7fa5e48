import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.affinity_diversity import (
    affinity_diversity,
    near_pairs,
)


def agreement(labels):
    flat = labels.flatten(1)
    return (flat[:, :, None] == flat[:, None]).float()


@pytest.fixture
def labels(device):
    return torch.randint(0, 3, (2, 4, 5), device=device)


def test_perfect_and_inverted(labels):
    perfect = agreement(labels)
    for radius in (None, 1, 8):
        assert affinity_diversity(perfect, labels, radius) == 0
        inverted = affinity_diversity(1 - perfect, labels, radius)
        assert inverted.item() == pytest.approx(1)


def test_by_hand(device):
    """Three patches in a row, the last of another class."""
    labels = torch.tensor([[[1, 1, 0]]], device=device)
    affinity = torch.tensor(
        [[[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]]], device=device
    )
    pull = (0.2 + 0.2) / 5  # of three patches and themselves, and one pair
    push = 2 * (0.3 + 0.5) / 4
    loss = affinity_diversity(affinity, labels, None)
    assert loss.item() == pytest.approx((pull + push) / 2)
    near = affinity_diversity(affinity, labels, 1)  # without the far pair
    assert near.item() == pytest.approx((pull + 2 * 0.5 / 2) / 2)


def test_near_pairs_by_hand(device):
    near = near_pairs((2, 3), 1, device)
    places = [(y, x) for y in range(2) for x in range(3)]
    expected = [
        [max(abs(a - c), abs(b - d)) <= 1 for c, d in places]
        for a, b in places
    ]
    assert near.tolist() == expected


def test_ignored_patches_do_not_count(labels, device):
    affinity = torch.rand(2, 20, 20, device=device)
    labels[:, 0] = 255
    loss = affinity_diversity(affinity, labels)
    affinity[:, :5] = 0.123
    affinity[:, :, :5] = 0.9
    assert torch.equal(affinity_diversity(affinity, labels), loss)


def test_a_term_without_pairs(device):
    for labels in (
        torch.ones(1, 3, 4, device=device),  # one class
        torch.full((1, 3, 4), 255, device=device),  # none
    ):
        affinity = torch.rand(1, 12, 12, device=device, requires_grad=True)
        loss = affinity_diversity(affinity, labels)
        loss.backward()
        assert torch.isfinite(affinity.grad).all()


def test_registered_and_wrong_shapes(labels, device):
    loss = MODELS.build(dict(type='AffinityDiversityLoss'))
    affinity = torch.rand(2, 20, 20, device=device)
    assert torch.allclose(
        loss(affinity, labels), 0.1 * affinity_diversity(affinity, labels)
    )
    with pytest.raises(ValueError, match=r'\(2, 20, 20\), got \(2, 9, 9\)'):
        loss(affinity[:, :9, :9], labels)
    with pytest.raises(ValueError, match='radius=-1 must not be negative'):
        MODELS.build(dict(type='AffinityDiversityLoss', radius=-1))
