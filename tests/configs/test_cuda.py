"""Every kind of config on CUDA; where there is none, on one that pretends."""

import contextlib

import pytest
import torch
from pretend_cuda import pretend_cuda


@pytest.fixture
def cuda():
    """CUDA, and what happens on it where it is pretended."""
    with contextlib.ExitStack() as stack:
        events = None
        if not torch.cuda.is_available():
            events = stack.enter_context(pretend_cuda())
        yield events


def test_trains(training_config, load_small, train, cuda):
    cfg = load_small(training_config, once=True)
    cfg.optim_wrapper.clip_grad = dict(max_norm=1.0)
    runner, witness = train(cfg)
    assert all(p.is_cuda for p in runner.model.parameters())
    assert witness.with_gradient
    (losses,) = witness.losses
    assert all(torch.isfinite(torch.as_tensor(v)) for v in losses.values())
