from contextlib import contextmanager

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmseg_weakclip.engine.optim import CPUAmpOptimWrapper

ADAMW = dict(type='AdamW', lr=0.1, weight_decay=0.5)


@pytest.fixture
def model() -> nn.Module:
    """A frozen trunk, a head, and a part that is partly frozen."""
    model = nn.ModuleDict(
        dict(
            trunk=nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
            head=nn.Linear(2, 3),
            partly=nn.Linear(2, 2),
        )
    )
    model['trunk'].requires_grad_(False)
    model['partly'].weight.requires_grad_(False)
    return model


def build(model, **cfg):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor='TrainableOptimWrapperConstructor',
            optimizer=ADAMW,
            **cfg,
        ),
    )


@pytest.mark.parametrize(
    'paramwise', [None, dict(custom_keys={'head': dict(lr_mult=0.1)})]
)
def test_frozen_parameters_are_in_no_group(model, paramwise, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        'mmengine.optim.optimizer.default_constructor.print_log',
        lambda message, **kwargs: warnings.append(message),
    )
    wrapper = build(
        model, paramwise_cfg=paramwise, clip_grad=dict(max_norm=1.0)
    )
    groups = wrapper.optimizer.param_groups
    rates = {
        id(parameter): group['lr']
        for group in groups
        for parameter in group['params']
    }
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert rates.keys() == {id(p) for p in trained.values()}
    # A group for each setting.
    assert len(groups) == (2 if paramwise else 1)
    factor = 0.1 if paramwise else 1
    assert rates[id(model['head'].weight)] == pytest.approx(factor * 0.1)
    assert rates[id(model['partly'].bias)] == 0.1
    assert wrapper.optimizer.defaults['weight_decay'] == 0.5
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0)
    assert not any('trunk' in warning for warning in warnings)


def test_vectors_are_not_decayed(model):
    paramwise = dict(
        custom_keys={'head': dict(lr_mult=0.1, decay_mult=0.2)},
        vector_decay_mult=0.0,
    )
    groups = build(model, paramwise_cfg=paramwise).optimizer.param_groups
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in groups
        for parameter in group['params']
    }
    assert settings == {
        id(model['head'].weight): pytest.approx((0.01, 0.1)),
        id(model['head'].bias): pytest.approx((0.01, 0.0)),
        id(model['partly'].bias): pytest.approx((0.1, 0.0)),
    }


def test_shared_parameters_are_taken_once(model):
    model['alias'] = model['head']
    (group,) = build(model).optimizer.param_groups
    assert len({id(p) for p in group['params']}) == len(group['params']) == 3


def test_amp_on_the_cpu_runs_in_bfloat16():
    layer = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    wrapper = CPUAmpOptimWrapper(optimizer)
    x = torch.rand(2, 4)
    with wrapper.optim_context(layer):
        assert layer(x).dtype == torch.bfloat16
        loss = layer(x).float().square().sum()
    assert layer(x).dtype == torch.float32
    before = layer.weight.detach().clone()
    wrapper.update_params(loss)
    assert layer.weight.dtype == torch.float32
    assert not torch.equal(layer.weight, before)


def test_amp_keeps_accumulation():
    """Processes share gradients where they are used, not before."""
    held_back = []

    class Replica(nn.Linear):
        @contextmanager
        def no_sync(self):
            held_back.append(step)
            yield

    model = Replica(1, 1)
    wrapper = CPUAmpOptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1.0), accumulative_counts=2
    )
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(4):  # noqa: B007  (no_sync looks at it)
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 1)).float().sum()
        wrapper.update_params(loss)
    assert held_back == [0, 2]
