import pytest
import torch

from mmseg_weakclip.models.losses import functional as smoothing
from mmseg_weakclip.models.losses.functional import smoothed_softmax


@pytest.mark.parametrize('eps', [1e-7, 0.1])
def test_is_the_published_formula(device, monkeypatch, eps):
    assert smoothing.EPS == 1e-7
    # At its own size the constant drowns in rounding errors.
    monkeypatch.setattr(smoothing, 'EPS', eps)
    logits = torch.randn(2, 5, 3, 4).to(device)
    probs = logits.softmax(1) + eps
    torch.testing.assert_close(
        smoothed_softmax(logits), probs / probs.sum(1, keepdim=True)
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(device, dtype):
    logits = torch.tensor([60.0, -60.0], dtype=dtype, device=device)
    logits = logits.view(1, 2, 1, 1).requires_grad_()
    probs = smoothed_softmax(logits)
    assert probs.dtype == torch.float32
    assert probs.flatten()[1].item() == pytest.approx(1e-7, rel=1e-4)
    probs.log().sum().backward()
    assert logits.grad.isfinite().all()
