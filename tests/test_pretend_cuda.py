"""The device that is not there behaves as CUDA does."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from pretend_cuda import DeviceMismatch, pretend_cuda
from torch import nn


@pytest.fixture
def events():
    with pretend_cuda() as events:
        yield events


@pytest.fixture
def there(events):
    return torch.rand(3, 4, device='cuda')


def test_tensors_say_where_they_are(there):
    assert there.is_cuda
    assert not there.is_cpu
    assert there.device == torch.device('cuda', 0)
    assert (there + 1).device == there.new_zeros(2).device == there.device
    assert torch.zeros(2).device.type == 'cpu'
    assert there.cpu().device.type == 'cpu'
    for moved in (there.cpu().cuda(), there.cpu().to(there)):
        assert moved.is_cuda
        assert torch.equal(moved, there)


@pytest.mark.parametrize(
    'wrong',
    [
        lambda x: x + torch.ones(4),
        lambda x: torch.cat([x, torch.ones(1, 4)]),
        lambda x: x @ torch.ones(4, 2),
        lambda x: torch.where(torch.ones(3, 4, dtype=torch.bool), x, 0),
        lambda x: torch.zeros(3, 4).add_(x),
        lambda x: torch.zeros(()).add_(x.sum()),
        lambda x: x.bernoulli(generator=torch.Generator()),
        lambda x: F.embedding(torch.tensor([1]), x),
    ],
)
def test_what_cuda_refuses(there, wrong):
    with pytest.raises(DeviceMismatch, match=r'at \(.*test_pretend_cuda'):
        wrong(there)


@pytest.mark.parametrize(
    'wrong', [lambda x: x.numpy(), lambda x: x.__array__()]
)
def test_no_array_without_a_copy(there, wrong):
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        wrong(there)


def test_what_cuda_allows(there):
    number = torch.tensor(2.0)
    assert torch.equal(there * number, there * 2)
    assert torch.equal(there[torch.tensor([2, 0])], there[[2, 0]])
    target = torch.zeros(3, 4)
    target.copy_(there)
    assert target.sum() > 0


@pytest.mark.parametrize(
    'waiting',
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0, 0]),
        lambda x: bool(x[0, 0] > 0),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0.5],
        lambda x: torch.equal(x, x),
        lambda x: x.unique(),
        lambda x: torch.zeros(3, 4).copy_(x),
    ],
)
def test_waits_are_counted(events, there, waiting):
    events.clear()
    waiting(there)
    assert events.waits.total() == 1
    ((line, _),) = events.waits
    assert 'test_pretend_cuda.py' in line


def test_what_does_not_wait(events, there):
    events.clear()
    there[there > 2] = 0
    there.masked_fill_(there > 0.5, 1)
    there.softmax(1).argmax(1).view(-1).clone()
    assert not events.waits
    assert not events.uploads
    assert events.launches.total() > 5


@pytest.mark.parametrize(
    'uploading',
    [
        lambda x: torch.tensor([1, 2], device='cuda'),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: torch.ones(3).to('cuda'),
        lambda x: x.copy_(torch.ones(3, 4)),
        lambda x: x[[0, 2]],
        lambda x: x[torch.tensor([0, 2])],
    ],
)
def test_uploads_are_counted(events, there, uploading):
    events.clear()
    uploading(there)
    assert events.uploads.total() == 1
    assert not events.waits


def test_views_cost_no_launch(events, there):
    events.clear()
    there.view(2, 6)[0].detach().unsqueeze(0)
    assert not events.launches
    there.neg()
    assert events.launches.total() == 1


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Flatten(2),
        nn.MultiheadAttention(36, 2, batch_first=True),
    )


def run_net(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    *first, attention = model
    for layer in first:
        images = layer(images)
    return attention(images, images, images)[0]


def test_training_is_that_of_the_cpu(events):
    images = torch.rand(2, 3, 8, 8)
    states = []
    for device in ('cpu', 'cuda'):
        model = net().to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            run_net(model, images.to(device)).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        states.append({k: v.cpu() for k, v in model.state_dict().items()})
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], atol=1e-6), name


def test_parameters_stay_the_same_objects(events):
    model = net()
    before = list(model.parameters())
    model.to('cuda')
    assert all(a is b for a, b in zip(before, model.parameters()))
    assert all(p.is_cuda and p.is_leaf for p in model.parameters())
    twin = copy.deepcopy(model)
    assert torch.equal(twin[0].weight, model[0].weight)
    twin[0].weight.data.zero_()
    assert model[0].weight.abs().sum() > 0
    model.cpu()
    assert not any(p.is_cuda for p in model.parameters())


def test_files(events, there):
    file = io.BytesIO()
    torch.save(dict(x=there, y=1), file)
    for place in ('cpu', 'cuda'):
        file.seek(0)
        loaded = torch.load(file, map_location=place, weights_only=True)
        assert loaded['x'].device.type == place
        assert torch.equal(loaded['x'].cpu(), there.cpu())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast(there, dtype):
    """By torch's table: products are low, sums and logarithms are high."""
    linear = nn.Linear(4, 4).to('cuda')
    with torch.autocast('cuda', dtype):
        low = linear(there)
        assert low.dtype == (there @ there.T).dtype == dtype
        assert (low + low).dtype == low.relu().dtype == dtype
        assert low.softmax(1).dtype == torch.float32
        assert F.layer_norm(low, (4,)).dtype == torch.float32
        assert torch.cat([low, there]).dtype == torch.float32
        with torch.autocast('cuda', enabled=False):
            assert linear(there).dtype == torch.float32
        with pytest.raises(RuntimeError, match='unsafe to autocast'):
            F.binary_cross_entropy(there, there)
    assert linear(there).dtype == torch.float32
    low.float().sum().backward()
    assert linear.weight.grad.dtype == torch.float32


def test_nothing_is_left_behind():
    load = torch.load
    with pretend_cuda():
        torch.ones(1, device='cuda')
    assert torch.load is load
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            torch.ones(1, device='cuda')
