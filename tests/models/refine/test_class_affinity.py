import math

import pytest
import torch

from mmseg_weakclip.models.refine import class_affinity as module
from mmseg_weakclip.models.refine.class_affinity import (
    class_affinity,
    class_distributions,
    jensen_shannon,
)


def naive(scores, sharpness, tau):
    """One image, pair by pair; lists of numbers."""
    low, high = scores.min(), scores.max()
    exps = torch.exp(sharpness * (scores - low) / (high - low))
    columns = (exps / exps.sum(0)).T.tolist()

    def kl(p, q):
        return sum(a * math.log(a / b) for a, b in zip(p, q) if a)

    rows = []
    for p in columns:
        values = []
        for q in columns:
            mean = [(a + b) / 2 for a, b in zip(p, q)]
            js = (kl(p, mean) + kl(q, mean)) / 2
            values.append((1 - js) / tau)
        top = max(values)
        weights = [math.exp(v - top) for v in values]
        rows.append([w / sum(weights) for w in weights])
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ('sharpness', 'tau'), [(1.0, 1e-3), (20.0, 0.1), (5.0, 1.0)]
)
def test_is_its_formula(device, sharpness, tau):
    scores = torch.randn(2, 5, 12)
    found = class_affinity(scores.to(device), sharpness, tau).cpu()
    for image, affinity in zip(scores.double(), found):
        expected = naive(image, sharpness, tau)
        torch.testing.assert_close(affinity, expected, atol=1e-3, rtol=1e-3)


def test_divergence_by_hand(device):
    """Disjoint: ln 2. Equal: 0. (1, 0) and (1/2, 1/2): 0.2158."""
    columns = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]], device=device)
    found = jensen_shannon(columns[None])[0].cpu()
    half = 0.75 * math.log(4 / 3) + 0.25 * math.log(4) - 0.5 * math.log(2)
    expected = torch.tensor(
        [
            [0, math.log(2), half],
            [math.log(2), 0, half],
            [half, half, 0],
        ]
    )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_divergence_is_symmetric_and_bounded(device):
    scores = 9 * torch.randn(3, 4, 20, device=device)
    found = jensen_shannon(scores.softmax(1))
    torch.testing.assert_close(found, found.transpose(1, 2))
    assert found.min() >= 0
    assert found.max() <= math.log(2) + 1e-6
    assert found.diagonal(dim1=1, dim2=2).max() < 1e-6


def test_parts_and_batches_change_nothing(device, monkeypatch):
    scores = torch.randn(3, 4, 10, device=device)
    whole = class_affinity(scores, 20, 0.1)
    each = torch.cat([class_affinity(one[None], 20, 0.1) for one in scores])
    torch.testing.assert_close(whole, each)
    monkeypatch.setattr(module, 'MOST_MIXTURES', 1)
    torch.testing.assert_close(whole, class_affinity(scores, 20, 0.1))


def test_scale_and_offset_of_scores_do_not_matter(device):
    scores = torch.randn(1, 4, 10, device=device)
    torch.testing.assert_close(
        class_affinity(scores, 20, 0.1),
        class_affinity(5 * scores - 2, 20, 0.1),
        atol=1e-5,
        rtol=1e-4,
    )
    flat = class_distributions(torch.full((1, 4, 10), 3.0, device=device))
    torch.testing.assert_close(flat, torch.full_like(flat, 0.25))


def test_half_precision_is_single(device):
    scores = torch.randn(1, 4, 10, device=device)
    with torch.autocast(device.type, torch.bfloat16):
        found = class_affinity(scores)
    assert found.dtype == torch.float32
    assert torch.equal(found, class_affinity(scores))


def test_gradient(device):
    scores = torch.randn(1, 3, 6, device=device, requires_grad=True)
    weights = torch.randn(1, 6, 6, device=device)
    (class_affinity(scores, 5, 0.5) * weights).sum().backward()
    assert scores.grad.isfinite().all()
    assert scores.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('texts', 'options', 'message'),
    [
        (1, {}, 'two texts or more, not 1: add background words'),
        (3, dict(tau=0), 'tau=0 must be above 0'),
        (3, dict(sharpness=-1), 'sharpness=-1'),
    ],
)
def test_bad_input(texts, options, message):
    with pytest.raises(ValueError, match=message):
        class_affinity(torch.randn(1, texts, 4), **options)
