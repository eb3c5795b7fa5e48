import pytest
import torch

from mmseg_weakclip.models.segclip.grouping import assign, gumbel_noise


@pytest.mark.parametrize('tau', [None, 0.9])
@pytest.mark.parametrize('spread', [0.1, 30.0])
def test_every_patch_is_in_exactly_one_group(device, tau, spread):
    logits = spread * torch.randn(3, 5, 70, device=device)
    hard, soft = assign(logits, tau)
    # Exactly: a one that is off by a rounding error is no count.
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(hard.sum(1), torch.ones_like(hard[:, 0]))
    assert torch.equal(soft, logits.softmax(1))


def test_without_noise_it_is_the_largest(device):
    logits = torch.tensor([[[1.0, 3.0], [2.0, 0.0]]], device=device)
    hard, _ = assign(logits)
    assert hard.tolist() == [[[0.0, 1.0], [1.0, 0.0]]]


def test_gradient_is_that_of_the_softmax(device):
    logits = torch.randn(2, 4, 6, device=device, requires_grad=True)
    weights = torch.randn(2, 4, 6, device=device)
    hard, _ = assign(logits)
    (straight,) = torch.autograd.grad((hard * weights).sum(), logits)
    (smooth,) = torch.autograd.grad(
        (logits.softmax(1) * weights).sum(), logits
    )
    assert torch.allclose(straight, smooth)
    assert smooth.abs().max() > 0


def test_groups_are_drawn_by_their_probability(device):
    """Gumbel-max: at temperature 1 or any, softmax of the logits."""
    probabilities = torch.tensor([0.6, 0.3, 0.1], device=device)
    logits = probabilities.log()[None, :, None].expand(1, 3, 40_000)
    hard, _ = assign(logits, tau=0.9)
    shares = hard.mean(-1)[0]
    assert torch.allclose(shares, probabilities, atol=0.01)


def test_noise_has_the_moments_of_a_gumbel_distribution():
    noise = gumbel_noise(torch.empty(200_000))
    assert noise.mean() == pytest.approx(0.5772, abs=0.01)
    assert noise.std() == pytest.approx(1.2825, abs=0.01)
    assert noise.isfinite().all()
