"""Time and memory of the dense CRF's backends, as a markdown table.

    python benchmarks/dense_crf.py --sizes 64x64 --classes 21 --batch 8
    python benchmarks/dense_crf.py --images FOLDER --preset voc12

Times are per image: median and least of the repeats. Every case runs in a
fresh process, so that its peak memory is its own: on a GPU what PyTorch
allocated, on the CPU by how much the resident set grew.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_weakclip.models.refine.crf_params import CRF_PRESETS
from mmseg_weakclip.models.refine.dense_crf import dense_crf

BACKENDS = ('torch-lattice', 'torch-exact', 'pydensecrf')
REFERENCE = 'pydensecrf'
COLUMNS = (
    'backend',
    'H x W',
    'K',
    'batch',
    'median ms',
    'least ms',
    'peak MiB',
    f'same label as {REFERENCE}',
)


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    backend: str
    height: int
    width: int
    num_classes: int
    batch: int
    preset: str
    device: str
    repeats: int
    threads: int
    images: str | None

    def inputs(self) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and smooth random probabilities."""
        size = (self.height, self.width)
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(
            self.batch, self.num_classes, 6, 6, generator=generator
        )
        probs = F.interpolate(3 * logits, size, mode='bicubic').softmax(1)
        if self.images is None:
            images = _synthetic(self.batch, size, generator)
        else:
            images = _photographs(Path(self.images), self.batch, size)
        return images.to(self.device), probs.to(self.device)


def _synthetic(
    batch: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Smooth regions of few colours, with noise."""
    blobs = torch.rand(batch, 3, 5, 5, generator=generator)
    regions = F.interpolate(blobs, size, mode='bicubic').mul(4).round() * 60
    noise = 8 * torch.randn(regions.shape, generator=generator)
    return (regions + noise).clamp(0, 255)


def _photographs(folder: Path, batch: int, size: tuple[int, int]) -> Tensor:
    paths = sorted(folder.glob('*.jpg'))[:batch]
    if len(paths) < batch:
        sys.exit(f'{folder} has {len(paths)} .jpg files, {batch} are needed')
    images = [
        cv2.resize(cv2.imread(str(path))[..., ::-1], size[::-1])
        for path in paths
    ]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


def measure(case: Case) -> tuple[list[float], int, np.ndarray]:
    """Seconds per image of each repeat, peak bytes and the labels."""
    torch.set_num_threads(case.threads)
    images, probs = case.inputs()
    on_gpu = images.is_cuda
    # Libraries load and allocators warm up on a map of four pixels.
    dense_crf(
        images[..., :2, :2], probs[..., :2, :2], case.preset, case.backend
    )
    before = _resident_bytes()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    seconds = []
    for _ in range(case.repeats):
        start = time.perf_counter()
        q = dense_crf(images, probs, case.preset, case.backend)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / case.batch)
    peak = torch.cuda.max_memory_allocated() if on_gpu else _resident_bytes()
    return seconds, peak - before, q.argmax(1).cpu().numpy()


def _resident_bytes() -> int:
    """The largest resident set of this process so far."""
    unit = 1 if sys.platform == 'darwin' else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _in_fresh_process(case: Case) -> tuple[list[float], int, np.ndarray]:
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        return pool.apply(measure, (case,))


def _size(text: str) -> tuple[int, int]:
    height, width = text.split('x')
    return int(height), int(width)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--backends', nargs='+', default=BACKENDS)
    parser.add_argument(
        '--sizes',
        nargs='+',
        type=_size,
        default=[(64, 64), (128, 96)],
        metavar='HxW',
    )
    parser.add_argument('--classes', nargs='+', type=int, default=[4, 21])
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument(
        '--preset', default='weakclip_train', choices=sorted(CRF_PRESETS)
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--images', help='folder with .jpg files to take')
    return parser.parse_args()


def table(
    args: argparse.Namespace, size: tuple[int, int], num_classes: int
) -> Iterator[tuple]:
    """Rows of all backends at one size and number of classes."""
    results = {}
    for backend in args.backends:
        case = Case(
            backend,
            *size,
            num_classes,
            args.batch,
            args.preset,
            args.device,
            args.repeats,
            args.threads,
            args.images,
        )
        results[backend] = _in_fresh_process(case)
    reference = results.get(REFERENCE)
    for backend, (seconds, peak, labels) in results.items():
        same = '-'
        if reference is not None:
            same = f'{100 * (labels == reference[2]).mean():.2f} %'
        yield (
            backend,
            f'{size[0]} x {size[1]}',
            num_classes,
            args.batch,
            f'{1e3 * statistics.median(seconds):.1f}',
            f'{1e3 * min(seconds):.1f}',
            f'{peak / 2**20:.0f}',
            same,
        )


def main() -> None:
    args = parse_args()
    print(f'Preset {args.preset}, {args.device}, {args.threads} threads.\n')
    print('|', ' | '.join(COLUMNS), '|')
    print('|---' * len(COLUMNS) + '|')
    for size in args.sizes:
        for num_classes in args.classes:
            for row in table(args, size, num_classes):
                print('|', ' | '.join(map(str, row)), '|', flush=True)


if __name__ == '__main__':
    main()
