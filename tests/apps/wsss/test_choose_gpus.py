import pytest
import torch

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss import preflight
from mmseg_weakclip.apps.wsss.preflight import choose_gpus


@pytest.fixture
def gpus(monkeypatch):
    """A machine with this number of GPUs."""

    def set_number(number: int) -> None:
        monkeypatch.setattr(preflight, 'may_have_gpus', lambda: number > 0)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: number > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: number)

    return set_number


def test_no_gpu_is_looked_at_for_a_run_on_the_cpu(monkeypatch):
    def refuse():
        raise AssertionError('the GPU was opened')

    for name in ('is_available', 'device_count', '_lazy_init'):
        monkeypatch.setattr(torch.cuda, name, refuse)
    assert choose_gpus(0) == 0
    monkeypatch.setattr(preflight, 'may_have_gpus', lambda: False)
    assert choose_gpus(None) == 0


@pytest.mark.parametrize(
    ('there', 'asked', 'expected'), [(0, None, 0), (3, None, 1), (3, 2, 2)]
)
def test_number(gpus, there, asked, expected):
    gpus(there)
    assert choose_gpus(asked) == expected


@pytest.mark.parametrize(
    ('there', 'asked', 'message'),
    [
        (0, 1, 'has 0 .leave --gpus out'),
        (1, 2, '--gpus 2, but this machine has 1'),
        (1, -1, '--gpus -1 is negative'),
    ],
)
def test_numbers_that_are_not_there(gpus, there, asked, message):
    gpus(there)
    with pytest.raises(UserError, match=message):
        choose_gpus(asked)
