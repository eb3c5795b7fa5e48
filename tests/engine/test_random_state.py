import io
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseg_weakclip.engine.resume import RandomStateHook


@pytest.fixture
def draw(device):
    """One number of each generator."""

    def run() -> tuple:
        return (
            random.random(),
            np.random.rand(),  # noqa: NPY002
            # A normal deviate too: numpy keeps the second of a pair.
            np.random.randn(),  # noqa: NPY002
            torch.rand(3).tolist(),
            torch.rand(3, device=device).tolist(),
        )

    return run


def save_and_load(hook, place='cpu') -> dict:
    checkpoint = {}
    hook.before_save_checkpoint(None, checkpoint)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    return torch.load(file, map_location=place, weights_only=True)


def test_a_resumed_run_draws_the_same_numbers(draw):
    draw()
    checkpoint = save_and_load(RandomStateHook())
    expected = [draw(), draw()]
    hook = RandomStateHook()
    hook.after_load_checkpoint(SimpleNamespace(_resume=True), checkpoint)
    # What is drawn before the first iteration has no influence,
    draw()
    hook.before_train_iter(None, 3)
    assert draw() == expected[0]
    # and later iterations go on from there.
    hook.before_train_iter(None, 4)
    assert draw() == expected[1]


def test_a_state_that_was_loaded_onto_the_device(draw, device):
    """As mmengine loads the checkpoint of a run that it resumes."""
    draw()
    checkpoint = save_and_load(RandomStateHook(), device)
    state = checkpoint['random_state']
    assert state['torch'].device.type == device.type
    assert state['numpy'][1].device.type == device.type
    before = np.random.get_state()  # noqa: NPY002
    expected = draw()
    hook = RandomStateHook()
    hook.after_load_checkpoint(SimpleNamespace(_resume=True), checkpoint)
    hook.before_train_iter(None, 0)
    for ours, own in zip(np.random.get_state(), before):  # noqa: NPY002
        assert np.array_equal(ours, own)
    assert draw() == expected


def test_weights_come_without_a_past(draw):
    checkpoint = save_and_load(RandomStateHook())
    at_save = draw()
    hook = RandomStateHook()
    hook.after_load_checkpoint(SimpleNamespace(_resume=False), checkpoint)
    hook.before_train_iter(None, 0)
    assert draw() != at_save


def test_checkpoints_of_others_can_be_resumed(draw):
    hook = RandomStateHook()
    hook.after_load_checkpoint(SimpleNamespace(_resume=True), {})
    state = torch.get_rng_state()
    hook.before_train_iter(None, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_leaves_no_trace(draw):
    hook = RandomStateHook()
    for _ in range(2):
        state = save_and_load(RandomStateHook())
        expected = draw()
        hook.after_load_checkpoint(SimpleNamespace(_resume=True), state)
        hook.before_train_iter(None, 0)
        hook.before_val(None)
        draw()
        hook.after_val(None)
        assert draw() == expected
