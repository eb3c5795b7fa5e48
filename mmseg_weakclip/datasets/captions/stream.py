"""Data set of millions of captioned images in tar shards."""

import itertools
import random
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from mmengine.dist import get_dist_info
from mmseg.registry import DATASETS
from torch.utils.data import IterableDataset, get_worker_info

from mmseg_weakclip.common.images import decode_color_image
from mmseg_weakclip.datasets.sampler import Draw, draw_randomness
from mmseg_weakclip.datasets.transforms import find_transform

from .shards import (
    SHARD_ERRORS,
    ShardSample,
    expand_shards,
    is_remote,
    read_shard,
    require_webdataset,
)
from .tally import StreamTally


@DATASETS.register_module()
class WebDatasetCaptions(IterableDataset):
    """Endless stream of captioned images from tar shards.

    Use it with IterBasedTrainLoop, in a data loader with ``sampler=None``. A
    sample starts with ``img``, decoded as by LoadColorImage, ``img_path``,
    ``img_id``, ``img_name`` and ``caption``.

    Every epoch has its own order of the shards. They are dealt out to the
    workers of all ranks, and each worker shuffles its samples within a
    buffer. Each worker begins its next epoch independently of the others.

    **Position.** What a worker yields depends on the seed, the number of
    ranks and workers, and its own rank and number; batch i of a rank comes
    from worker i modulo the number of workers. So a number of batches is a
    position, at which :meth:`skip` enters the stream: with as many ranks and
    workers, and the same batch size, the batches after it are those of an
    uninterrupted run. Shards are read up to there, but no image is decoded.
    ``CaptionStreamHook`` does this on resuming.

    Blank captions are left out, and so are bad samples: those with no image,
    a damaged one, or no caption. If a sample turns out to be bad only when
    its image is decoded, the next sample of the worker is yielded in its
    place and a second time at its own, so that positions do not depend on
    decoding. The rest of a damaged shard is skipped. All of these are
    counted and logged.

    Args:
        shards: One or several files or URLs of shards, in which braces stand
            for many; see ``expand_shards``.
        pipeline: Transforms of a sample, without one that loads images.
        data_root: Folder of the local shards.
        caption_key: Field of the caption, if captions are in JSON files.
        shuffle_buffer: Number of samples to shuffle among; 0 keeps the order
            of the files.
        seed: Seed of the order and the augmentation; None takes the seed of
            the run from ``CaptionStreamHook``, or 0 without the hook.
        max_bad_share: Largest allowed share, in [0, 1], of bad samples among
            those that a worker has read, and of damaged shards among all.
        metainfo: Meta information; there are no classes unless it names
            some.

    Raises:
        ImportError: webdataset is not installed.
        FileNotFoundError: Local shards do not exist.
        ValueError: There are no shards, the pipeline loads images, or
            ``max_bad_share`` is out of range. While iterating: too many
            samples or shards are bad, or there are fewer shards than
            workers.
    """

    METAINFO = dict(classes=())

    def __init__(
        self,
        shards: str | Sequence[str],
        pipeline: Sequence[dict] = (),
        data_root: str = '',
        caption_key: str = 'caption',
        shuffle_buffer: int = 1000,
        seed: int | None = None,
        max_bad_share: float = 0.01,
        metainfo: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= max_bad_share <= 1:
            raise ValueError(
                f'WebDatasetCaptions has max_bad_share={max_bad_share}, which '
                'is not in [0, 1].'
            )
        self.data_root = data_root
        self.shards = expand_shards(shards, data_root)
        self.pipeline = Compose(pipeline)
        loader = find_transform(self.pipeline, LoadImageFromFile)
        if loader is not None:
            raise ValueError(
                'WebDatasetCaptions decodes its images itself; take '
                f'{type(loader).__name__} out of the pipeline.'
            )
        self.caption_key = caption_key
        self.shuffle_buffer = shuffle_buffer
        self.seed = seed
        self.max_bad_share = max_bad_share
        self.metainfo = {**self.METAINFO, **(metainfo or {})}
        self.rank, self.world_size = get_dist_info()
        self._batches = 0
        self._batch_size = 1

    def skip(self, num_batches: int, batch_size: int) -> None:
        """Start the next iteration after some batches of this rank.

        Args:
            num_batches: Number of batches from the start of the run.
            batch_size: Number of samples in a batch.

        Raises:
            ValueError: One of the numbers is too small.
        """
        if num_batches < 0 or batch_size < 1:
            raise ValueError(
                f'Cannot skip {num_batches} batches of {batch_size} samples.'
            )
        self._batches = num_batches
        self._batch_size = batch_size

    def image_name(self, sample: ShardSample) -> str:
        """Return a unique name of an image, as of a file in a folder."""
        shard = PurePosixPath(sample.url.split('://')[-1])
        if not is_remote(sample.url) and self.data_root:
            shard = PurePosixPath(Path(sample.url).relative_to(self.data_root))
        folder = str(shard.with_suffix('')).lstrip('/')
        return f'{folder}/{sample.key}.{sample.image_key}'

    def __len__(self) -> int:
        """Return more than any run takes; mmengine's logging asks for it."""
        return sys.maxsize

    def __iter__(self) -> Iterator[Any]:
        """Yield the samples of this worker from the pipeline."""
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        parts = workers * self.world_size
        if len(self.shards) < parts:
            raise ValueError(
                f'{len(self.shards)} shards do not suffice for {workers} '
                f'workers of each of {self.world_size} processes: take at '
                f'most num_workers={len(self.shards) // self.world_size}, or '
                'cut the data into more shards.'
            )
        # A loader asks its first worker first, at any position.
        worker = (worker + self._batches) % workers
        before = len(range(worker, self._batches, workers))
        part = self.rank * workers + worker
        tally = StreamTally(len(self.shards), self.max_bad_share)
        start = before * self._batch_size
        stream = itertools.islice(
            self._samples(part, parts, tally), start, None
        )
        # Samples from the current position on; None is a bad one.
        ahead: deque[ShardSample | None] = deque()
        for position in itertools.count(start):
            draw = Draw(0, self.seed or 0, position * parts + part)
            yield self._first_sound(ahead, stream, draw, tally)
            ahead.popleft()

    def _first_sound(
        self,
        ahead: deque[ShardSample | None],
        stream: Iterator[ShardSample],
        draw: Draw,
        tally: StreamTally,
    ) -> Any:
        for offset in itertools.count():
            if offset == len(ahead):
                ahead.append(next(stream))
            sample = ahead[offset]
            if sample is None:
                continue
            try:
                image = decode_color_image(sample.image, sample.place)
            except ValueError as error:
                problem = str(error)
            else:
                with draw_randomness(draw):
                    result = self.pipeline(self._results(sample, image))
                if result is not None:
                    return result
                problem = 'the pipeline dropped it'
            ahead[offset] = None
            tally.add_bad_sample(sample.place, problem)
        return None

    def _results(self, sample: ShardSample, image: np.ndarray) -> dict:
        return dict(
            img=image,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            img_path=f'{sample.url}/{sample.key}.{sample.image_key}',
            img_id=PurePosixPath(sample.key).name,
            img_name=self.image_name(sample),
            caption=sample.caption,
            seg_fields=[],
        )

    def _samples(
        self, part: int, parts: int, tally: StreamTally
    ) -> Iterator[ShardSample]:
        """Yield all samples of a worker, epoch by epoch, not decoded."""
        shuffle = require_webdataset().shuffle
        for epoch in itertools.count():
            samples = self._epoch(epoch, part, parts, tally)
            if self.shuffle_buffer:
                samples = shuffle(
                    self.shuffle_buffer,
                    initial=self.shuffle_buffer,
                    rng=random.Random(f'{self.seed or 0} {epoch} {part}'),
                )(samples)
            sound = 0
            for sample in samples:
                sound += 1
                yield sample
            tally.end_pass(epoch, sound)

    def _epoch(
        self, epoch: int, part: int, parts: int, tally: StreamTally
    ) -> Iterator[ShardSample]:
        rng = np.random.default_rng((self.seed or 0, epoch))
        order = rng.permutation(len(self.shards))
        for index in order[part::parts]:
            for sample in self._shard(self.shards[index], tally):
                tally.read += 1
                if sample.problem:
                    tally.add_bad_sample(sample.place, sample.problem)
                elif not sample.caption:
                    tally.blank += 1
                else:
                    yield sample

    def _shard(self, url: str, tally: StreamTally) -> Iterator[ShardSample]:
        """Yield the samples of a shard up to any damage."""
        samples = read_shard(url, self.caption_key)
        while True:
            try:
                sample = next(samples, None)
            except SHARD_ERRORS as error:
                tally.add_bad_shard(url, error)
                return
            if sample is None:
                return
            yield sample
