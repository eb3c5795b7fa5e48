import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_weakclip.engine.hooks import ChannelsLastHook


@pytest.fixture
def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 4, 3),
        nn.Flatten(),
        nn.Linear(4 * 6 * 9, 2),
    )


def use_hook(model):
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    return model


def test_the_same_values_in_another_order(network):
    other = use_hook(copy.deepcopy(network))
    images = torch.randn(2, 3, 10, 13)
    losses = [model(images).square().sum() for model in (network, other)]
    assert torch.allclose(*losses, rtol=1e-4)
    for loss in losses:
        loss.backward()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert one.shape == two.shape
        assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-4)
    assert other[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_an_optimiser_may_have_the_weights_already(network):
    before = list(network.parameters())
    after = list(use_hook(network).parameters())
    assert all(a is b for a, b in zip(before, after, strict=True))


def test_loaded_weights_take_the_order(network):
    saved = copy.deepcopy(network.state_dict())
    use_hook(network).load_state_dict(saved)
    weight = network[2].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(weight, saved['2.weight'])
