import pytest
import torch
from pretend_cuda import pretend_cuda

from mmseg_weakclip.models.transfer import device_constant, upload


@pytest.fixture
def device():
    """A device of which what happens on it is counted."""
    with pretend_cuda() as events:
        yield torch.device('cuda'), events


def test_upload(device):
    device, events = device
    values = torch.arange(6).view(2, 3)
    there = upload(values, device)
    assert there.device.type == 'cuda'
    assert torch.equal(there.cpu(), values)
    assert events.uploads.total() == 1
    assert upload(values, torch.device('cpu')) is values


def test_constants_are_uploaded_once(device):
    device, events = device
    values = [0.25, 0.5, 0.75]
    first = device_constant(values, device)
    second = device_constant(tuple(values), device)
    assert events.uploads.total() == 1
    assert second is first
    assert first.tolist() == values
    assert device_constant([0.25], device).tolist() == [0.25]


def test_constants_of_two_devices(device):
    there, _ = device
    here = device_constant([3.0], torch.device('cpu'))
    assert here.device.type == 'cpu'
    assert device_constant([3.0], there).device.type == 'cuda'
    assert device_constant([3.0], torch.device('cpu')) is here


def test_constants_made_in_inference_serve_a_training():
    device = torch.device('cpu')
    with torch.inference_mode():
        made = device_constant([1.5, 2.5], device)
    x = torch.ones(2, requires_grad=True)
    (x * made).sum().backward()
    assert torch.equal(x.grad, made)
