"""Hooks that resume a training exactly: random numbers and captions.

``RandomStateHook`` keeps the random generators in checkpoints,
``CaptionStreamHook`` the position of ``WebDatasetCaptions``.
"""

import hashlib
import logging
import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_weakclip.datasets.captions.stream import WebDatasetCaptions

# Their keys in checkpoints.
RANDOM_STATE, CAPTION_STREAM = 'random_state', 'caption_stream'


def get_random_state() -> dict:
    """Return the state of the random generators of this process."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    on_gpu = torch.cuda.is_available()
    return dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),
        torch=torch.get_rng_state(),
        # Of its own device: the first process saves for all processes,
        # which began with the same seed.
        cuda=torch.cuda.get_rng_state() if on_gpu else None,
    )


def set_random_state(state: dict) -> None:
    """Restore a state that :func:`get_random_state` returned."""
    random.setstate(state['python'])
    name, keys, *rest = state['numpy']
    # A checkpoint may have been loaded onto the device of the model.
    np.random.set_state(  # noqa: NPY002
        (name, keys.cpu().numpy().astype(np.uint32), *rest)
    )
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Keep the state of the random generators in checkpoints.

    With this hook (dropout) and ``ResumableSampler`` (images and their
    augmentation), a resumed run on the CPU equals an uninterrupted one, bit
    for bit. A GPU's generator is kept too; sums on a GPU may still differ.
    """

    # After all hooks that may draw random numbers.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._loaded: dict | None = None
        self._before_val: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state of the generators to the checkpoint."""
        checkpoint[RANDOM_STATE] = get_random_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the state, if the run is resumed."""
        # Weights for a test or for fine-tuning do not resume a run.
        if runner._resume:
            self._loaded = checkpoint.get(RANDOM_STATE)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Restore the state before the first iteration of a resumed run."""
        if self._loaded is None:
            return
        set_random_state(self._loaded)
        self._loaded = None

    def before_val(self, runner: Runner) -> None:
        """Remember the state before a validation."""
        # A validation draws a seed for its workers. A run that resumes from
        # the checkpoint just before it does not validate again.
        self._before_val = get_random_state()

    def after_val(self, runner: Runner) -> None:
        """Restore the state from before the validation."""
        if self._before_val is not None:
            set_random_state(self._before_val)


@HOOKS.register_module()
class CaptionStreamHook(Hook):
    """Give WebDatasetCaptions its seed, and on resuming its position.

    The settings on which the position depends are kept in checkpoints. A run
    that resumes with other shards, processes, workers or batch size logs a
    warning that it will see other samples. Other data sets are not changed.

    Releases of mmengine whose loop has no ``fast_forward_on_resume`` draw and
    drop all samples up to the position, with the same result, but slowly.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._loaded: dict | None = None

    def _stream(self, runner: Runner) -> WebDatasetCaptions | None:
        dataset = runner.train_dataloader.dataset
        return dataset if isinstance(dataset, WebDatasetCaptions) else None

    def _layout(self, runner: Runner, stream: WebDatasetCaptions) -> dict:
        names = '\n'.join(stream.shards)
        return dict(
            shards=hashlib.sha256(names.encode()).hexdigest()[:16],
            seed=stream.seed,
            processes=stream.world_size,
            # Without workers, the main process is one.
            workers=runner.train_dataloader.num_workers or 1,
            batch_size=runner.train_dataloader.batch_size,
            shuffle_buffer=stream.shuffle_buffer,
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the settings of the stream to the checkpoint."""
        if (stream := self._stream(runner)) is not None:
            checkpoint[CAPTION_STREAM] = self._layout(runner, stream)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the settings of the stream."""
        self._loaded = checkpoint.get(CAPTION_STREAM)

    def before_train(self, runner: Runner) -> None:
        """Set the seed and the position of the stream."""
        stream = self._stream(runner)
        if stream is None:
            return
        if stream.seed is None:
            stream.seed = runner.seed
        if not runner.iter:
            return
        self._compare(self._layout(runner, stream))
        loop = runner.train_loop
        if hasattr(loop, 'fast_forward_on_resume'):
            batch_size = runner.train_dataloader.batch_size
            stream.skip(runner.iter, batch_size)
            loop.fast_forward_on_resume = True

    def _compare(self, layout: dict) -> None:
        loaded = self._loaded or {}
        changed = [
            f'{key} {loaded.get(key)} (now {value})'
            for key, value in layout.items()
            if loaded.get(key) != value
        ]
        if changed:
            print_log(
                'The stream of captions resumes from a run with other '
                f'{", ".join(changed)}: it goes on after as many samples, but '
                'with others than that run would have seen.',
                logger='current',
                level=logging.WARNING,
            )
