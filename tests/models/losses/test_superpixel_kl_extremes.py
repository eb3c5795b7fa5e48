"""SuperpixelKLLoss at 0 and 1, and where nothing is to be learnt."""

import math

import pytest
import torch

from mmseg_weakclip.models.losses.superpixel_kl import SuperpixelKLLoss


def test_saturated_softmax_is_finite(kl_form, make_grouping, straight_through):
    """Logits as of groups without a scale, and ten times that."""
    for spread in (28.0, 280.0):
        logits, ids = make_grouping(groups=8, number=196, spread=spread)
        hard, soft = straight_through(logits)
        assert (soft == 0).any()
        value = SuperpixelKLLoss(**kl_form)(hard, soft, ids)
        # As a gradient scaler of float16 training does it.
        (gradient,) = torch.autograd.grad(2**24 * value, logits)
        assert 0 < value < 70
        assert gradient.isfinite().all()
        assert (gradient != 0).any()


def test_small_probabilities_keep_their_gradient(device, straight_through):
    """KL(m || M) on the logits of M is (M - m) / N, at 1e-26 too."""
    logits = torch.tensor([[[60.0, 0.0], [0.0, 60.0]]], device=device)
    logits.requires_grad_()
    hard, soft = straight_through(logits)
    ids = torch.zeros(1, 2, dtype=torch.long, device=device)
    loss = SuperpixelKLLoss(detach='mean')
    value = loss(hard, soft, ids)
    # KL(m || M) is 30 - log 2, KL(M || m) log 2.
    assert value.item() == pytest.approx(15, rel=1e-5)
    value.backward()
    expected = torch.tensor([[[0.5, -0.5], [-0.5, 0.5]]], device=device)
    torch.testing.assert_close(logits.grad, expected / 2 / 2)


def test_zero_probabilities_are_exact(device):
    """0 log 0 is 0: one-hots given as soft, one way."""
    hard = torch.eye(2, device=device)[None]
    ids = torch.zeros(1, 2, dtype=torch.long, device=device)
    value = SuperpixelKLLoss(symmetric=False)(hard, hard, ids)
    assert value.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize('detach', ['none', 'mean'])
def test_hard_patches_follow_the_majority(device, detach, straight_through):
    """Three patches of four are in group 0, the other in 1, none in 2."""
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, :3] = 1.0
    logits[0, 1, 3] = 1.0
    logits = logits.to(device).requires_grad_()
    hard, soft = straight_through(logits)
    ids = torch.zeros(1, 4, dtype=torch.long, device=device)
    loss = SuperpixelKLLoss('hard', symmetric=False, detach=detach)
    loss(hard, soft, ids).backward()
    assert (logits.grad[0, 0] < 0).all()
    assert (logits.grad[0, 2] > 0).all()
    # The one astray leaves its group, towards that of the others.
    assert logits.grad[0, 1, 3] > 0


def test_mean_is_the_closest_to_its_patches(device, straight_through):
    """Why KL(M || m) cannot train m alone: refused, its gradient is zero."""
    logits = torch.randn(1, 4, 9, device=device, requires_grad=True)
    hard, soft = straight_through(logits)
    ids = torch.zeros(1, 9, dtype=torch.long, device=device)
    loss = SuperpixelKLLoss(symmetric=False)
    (whole,) = torch.autograd.grad(loss(hard, soft, ids), logits)
    hard, soft = straight_through(logits)
    loss = SuperpixelKLLoss(symmetric=False, detach='mean')
    (patches,) = torch.autograd.grad(loss(hard, soft, ids), logits)
    torch.testing.assert_close(whole, patches, atol=1e-6, rtol=1e-4)
    assert (whole.abs() > 1e-3).any()


def test_collapse_costs_nothing(kl_form, make_grouping, straight_through):
    """All patches in one group, whatever their superpixels are."""
    logits, ids = make_grouping(superpixels=5)
    collapsed = torch.zeros_like(logits)
    collapsed[:, 2] = 200.0
    value = SuperpixelKLLoss(**kl_form)(*straight_through(collapsed), ids)
    assert value.item() == pytest.approx(0, abs=1e-7)


def test_without_superpixels_it_is_zero(
    kl_form, make_grouping, straight_through
):
    logits, ids = make_grouping()
    value = SuperpixelKLLoss(**kl_form)(
        *straight_through(logits), torch.full_like(ids, -1)
    )
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()
