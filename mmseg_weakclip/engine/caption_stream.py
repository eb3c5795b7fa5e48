"""Resume a stream of captioned images where it stopped."""

import hashlib
import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..datasets import WebDatasetCaptions

KEY = 'caption_stream'


@HOOKS.register_module()
class CaptionStreamHook(Hook):
    """Give WebDatasetCaptions its seed, and on resuming its position.

    What the position depends on is kept in checkpoints; a run that resumes
    with other shards, processes, workers or batches is told that it will see
    other samples than an undisturbed one. Other data sets are left alone.

    Releases of mmengine whose loop can't be told that the stream is in place
    (``fast_forward_on_resume``) draw and drop all samples up to there, which
    comes to the same, slowly.
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
        if (stream := self._stream(runner)) is not None:
            checkpoint[KEY] = self._layout(runner, stream)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._loaded = checkpoint.get(KEY)

    def before_train(self, runner: Runner) -> None:
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
