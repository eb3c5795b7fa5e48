import torch

from mmseg_weakclip.models.cam.importance import (
    draw_positions,
    sampled_logits,
)


def test_draws_by_the_share_of_scores(device):
    """Scores .8, .1, .1 and 0: shares of .8, .1, .1 and 0."""
    scores = torch.tensor([0.8, 0.1, 0.1, 0.0], device=device)
    logits = torch.logit(scores).clamp(min=-200)
    logits = logits.view(1, 1, 2, 2).expand(4000, 3, 2, 2)
    places = draw_positions(logits)
    assert places.shape == (4000, 3)
    counts = torch.bincount(places.cpu().flatten(), minlength=4) / 12000
    expected = torch.tensor([0.8, 0.1, 0.1, 0.0])
    assert torch.allclose(counts, expected, atol=0.02)


def test_very_negative_maps_are_drawn_from(device):
    """Where sigmoid gives 0 everywhere, and nothing could be drawn."""
    logits = torch.tensor([-300.0, -310.0], device=device).view(1, 1, 1, 2)
    assert draw_positions(logits).item() == 0
    flat = torch.full((1, 1, 3, 5), -1e4, device=device)
    assert 0 <= draw_positions(flat).item() < 15


def test_gradient_goes_to_the_drawn_positions(device):
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 2, 5, device=device, requires_grad=True)
    torch.manual_seed(1)
    places = draw_positions(logits)
    torch.manual_seed(1)
    found = sampled_logits(logits)
    assert torch.equal(
        found, logits.flatten(2).gather(2, places[..., None])[..., 0]
    )
    found.sum().backward()
    assert torch.equal(logits.grad.flatten(2).sum(2), torch.ones_like(found))
    assert int(logits.grad.count_nonzero()) == 12


def test_half_precision(device):
    logits = torch.randn(2, 3, 4, 4, device=device, dtype=torch.bfloat16)
    assert sampled_logits(logits).dtype == torch.bfloat16
