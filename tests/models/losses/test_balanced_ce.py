import math

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_weakclip.models.losses.balanced_ce import balanced_cross_entropy


def test_by_hand(device):
    """p of the truth: 1/2 and 1/4 in the background, 1/8 in the object."""
    probs = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.875, 0.125]])
    logits = probs.log().T[None, :, None].to(device)  # (1, 2, 1, 3)
    labels = torch.tensor([[[0, 0, 1]]], device=device)
    loss = balanced_cross_entropy(logits, labels)
    expected = ((math.log(2) + math.log(4)) / 2 + math.log(8)) / 2
    assert loss.item() == pytest.approx(expected)
    # The weight of a pixel is its share of its side's mean.
    weight = torch.tensor([[[1.0, 3.0, 7.0]]], device=device)
    loss = balanced_cross_entropy(logits, labels, weight=weight)
    expected = ((math.log(2) + 3 * math.log(4)) / 4 + math.log(8)) / 2
    assert loss.item() == pytest.approx(expected)


def test_sides_weigh_the_same_however_large(device):
    logits = torch.randn(1, 3, 1, 2, device=device)
    labels = torch.tensor([[[0, 2]]], device=device)
    few = balanced_cross_entropy(logits, labels)
    many = balanced_cross_entropy(
        logits[..., [0] + 9 * [1]], labels[..., [0] + 9 * [1]]
    )
    assert torch.allclose(few, many)


@pytest.mark.parametrize('present', [0, 1])
def test_a_batch_with_one_side_only(device, present):
    logits = torch.randn(2, 3, 4, 5, device=device, requires_grad=True)
    labels = torch.full((2, 4, 5), present, device=device)
    loss = balanced_cross_entropy(logits, labels)
    expected = torch.nn.functional.cross_entropy(logits, labels) / 2
    assert torch.allclose(loss, expected)
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_ignored_pixels(device):
    logits = torch.randn(1, 3, 4, 5, device=device, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 5), device=device)
    labels[:, :2] = 255
    loss = balanced_cross_entropy(logits, labels)
    assert torch.allclose(
        loss, balanced_cross_entropy(logits[:, :, 2:], labels[:, 2:])
    )
    loss.backward()
    assert (logits.grad[:, :, :2] == 0).all()
    nothing = balanced_cross_entropy(logits, torch.full_like(labels, 255))
    nothing.backward()
    assert nothing == 0
    assert torch.isfinite(logits.grad).all()


def test_registered(device):
    loss = MODELS.build(dict(type='BalancedCELoss', loss_weight=3.0))
    logits = torch.randn(1, 3, 4, 5, device=device)
    labels = torch.randint(0, 3, (1, 4, 5), device=device)
    with torch.autocast(device.type, torch.bfloat16):
        ours = loss(logits, labels, ignore_index=255)
    assert torch.allclose(ours, 3 * balanced_cross_entropy(logits, labels))
    assert loss.loss_name == 'loss_ce'
