"""What the benchmarks share."""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn


def make_batch(batch: int, crop: int, num_classes: int) -> dict:
    """Images with labels and seeds, as a data loader gives them.

    Seeds have the background, two classes, which are the image's labels, and
    ignored pixels.
    """
    rng = np.random.default_rng(0)
    inputs, samples = [], []
    for index in range(batch):
        coarse = torch.from_numpy(rng.integers(0, 255, (3, 8, 8)))
        image = torch.nn.functional.interpolate(
            coarse[None].float(), (crop, crop), mode='bicubic'
        )[0]
        inputs.append(image.clamp(0, 255).byte())
        present = np.array([0, *rng.integers(1, num_classes, 2), 255])
        seeds = present[rng.integers(0, 4, (1, 8, 8))]
        seeds = seeds.repeat(crop // 8, 1).repeat(crop // 8, 2)
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=torch.from_numpy(seeds)),
            metainfo=dict(
                img_path=f'{index}.jpg',
                img_shape=(crop, crop),
                ori_shape=(crop, crop),
                image_labels=tuple(sorted({*present[1:3].tolist()})),
            ),
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16}


class PrecisionWrapper(OptimWrapper):
    """Optimiser of steps in one of ``PRECISIONS``, on any device."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: str, precision: str
    ) -> None:
        super().__init__(optimizer)
        self.device = torch.device(device).type
        self.dtype = PRECISIONS[precision]

    def precision(self) -> AbstractContextManager:
        """The context of the forward pass."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device, self.dtype)

    def optim_context(self, model: nn.Module) -> AbstractContextManager:
        return self.precision()


class Clock:
    """Seconds since the last look, everything on the device done.

    Args:
        device: Device that is waited for.
        processor: Whether seconds of the processor are counted, which other
            processes change little.
    """

    def __init__(self, device: str, *, processor: bool = False) -> None:
        self.on_gpu = device.startswith('cuda')
        self.now = time.process_time if processor else time.perf_counter
        self()

    def __call__(self) -> float:
        if self.on_gpu:
            torch.cuda.synchronize()
        now, before = self.now(), getattr(self, '_last', 0.0)
        self._last = now
        return now - before


def peak_bytes(device: str) -> int:
    """The most memory that this process has had."""
    if device.startswith('cuda'):
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def compare(
    name: str, ours: Callable, other: Callable, repeats: int, clock: Clock
) -> None:
    """Print medians of both, run in turns, and their ratio."""
    seconds = []
    for _ in range(repeats + 1):
        clock()
        ours()
        first = clock()
        other()
        seconds.append((first, clock()))
    ratios = [b / a for a, b in seconds[1:]]
    a, b = (statistics.median(times) for times in zip(*seconds[1:]))
    low, high = min(ratios), max(ratios)
    print(
        f'| {name} | {a:.3f} | {b:.3f} | {statistics.median(ratios):.2f} '
        f'({low:.2f} to {high:.2f}) |',
        flush=True,
    )


def make_parser(
    description: str, crop: int, batch: int
) -> argparse.ArgumentParser:
    """Options of a benchmark of training steps."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--crop', type=int, default=crop)
    parser.add_argument('--batch', type=int, default=batch)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    return parser


def parse_args(description: str, crop: int) -> argparse.Namespace:
    """Options of a benchmark that compares two ways of a training step."""
    return make_parser(description, crop, batch=4).parse_args()
