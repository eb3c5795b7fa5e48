"""Resume a training as if it had never stopped."""

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

KEY = 'random_state'


def get_random_state() -> dict:
    """The state of the random generators that this process draws from."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    on_gpu = torch.cuda.is_available()
    return dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),
        torch=torch.get_rng_state(),
        # Of its own device: the first process saves for all, and all of
        # them began alike.
        cuda=torch.cuda.get_rng_state() if on_gpu else None,
    )


def set_random_state(state: dict) -> None:
    """Go back to what :func:`get_random_state` returned."""
    random.setstate(state['python'])
    name, keys, *rest = state['numpy']
    np.random.set_state(  # noqa: NPY002
        (name, keys.numpy().astype(np.uint32), *rest)
    )
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Keep the state of the random generators in checkpoints.

    With it (dropout) and ``ResumableSampler`` (which images, and how they
    are augmented), a resumed run on the CPU equals one that ran through, bit
    for bit. A GPU's generator is kept too; sums on a GPU may still differ.
    """

    # After everything that may draw numbers on the way.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._loaded: dict | None = None
        self._before_val: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint[KEY] = get_random_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        # Weights for a test or a fine-tuning come without a past.
        if runner._resume:
            self._loaded = checkpoint.get(KEY)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        if self._loaded is None:
            return
        set_random_state(self._loaded)
        self._loaded = None

    def before_val(self, runner: Runner) -> None:
        # A validation draws a seed for its workers. A run that resumes from
        # the checkpoint just before it does not validate again.
        self._before_val = get_random_state()

    def after_val(self, runner: Runner) -> None:
        set_random_state(self._before_val)
