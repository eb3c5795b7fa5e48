"""What a training step costs, beside the least it could cost.

    python benchmarks/training_step.py --method weakclip --threads 2

Ours is an iteration of the runner's own loop: data loader, hooks,
preprocessing, all losses with their refinement, logs. The floor is the bare
maths of the same model (benchmarks/floors.py), and "operations" what its
matrix products and convolutions would take at the speed of a large matrix
product. All three are measured in turns in one process, on random images and
weights; the table has medians, and the ratio of ours and the floor comes from
steps that ran one after the other. Every precision runs in a fresh process,
so that its peak memory is its own.

``--processor-time`` counts the seconds of the processor: with one thread,
other processes change them little.
"""

import argparse
import copy
import logging
import multiprocessing
import statistics
import tempfile
from pathlib import Path

import torch
from common import PRECISIONS, Clock, make_batch, peak_bytes
from floors import (
    BareStep,
    clims_floor,
    excel_floor,
    gemm_rate,
    weakclip_floor,
)
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import DATASETS, HOOKS
from torch import Tensor
from torch.utils.data import Dataset

from mmseg_weakclip.apps.commands.train import use_amp

CONFIGS = Path(__file__).parents[1] / 'configs'
# Config, crop and batch of the paper, and the floor.
METHODS = {
    'weakclip': ('weakclip_voc.py', 512, 2, weakclip_floor),
    'excel': (
        'excel/excel_vit-b16_1xb4-30k_voc12-320x320_no-tse.py',
        *(320, 4, excel_floor),
    ),
    'clims': ('clims_voc.py', 512, 4, clims_floor),
}


@DATASETS.register_module()
class RandomSamples(Dataset):
    """Samples that are there already, with the classes of their config."""

    def __init__(self, crop: int, size: int, classes: list[str]) -> None:
        batch = make_batch(size, crop, len(classes))
        self.samples = list(zip(batch['inputs'], batch['data_samples']))
        self.metainfo = dict(classes=classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        image, sample = self.samples[index]
        return dict(inputs=image, data_samples=copy.deepcopy(sample))


@HOOKS.register_module()
class FloorHook(Hook):
    """Runs the bare step behind every iteration, and notes both times."""

    priority = 'LOWEST'

    def __init__(self, clock: Clock, step: BareStep, images: Tensor) -> None:
        self.clock, self.step, self.images = clock, step, images
        self.rows: list[dict[str, float]] = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        # The first iteration has nothing before it; it is left out anyway.
        if not self.rows:
            self.clock()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        ours = self.clock()
        seconds = self.step(self.images, runner.optim_wrapper, self.clock)
        ratio = ours / seconds['floor']
        self.rows.append(dict(seconds, ours=ours, ratio=ratio))
        self.clock()


def load_config(args: argparse.Namespace, work_dir: str) -> Config:
    """Return the config of the method, for random weights and images."""
    name, crop, batch, _ = METHODS[args.method]
    cfg = Config.fromfile(CONFIGS / name)

    def forget_weights(part: object) -> None:
        if isinstance(part, dict):
            if 'pretrained' in part:
                part['pretrained'] = None
            for value in part.values():
                forget_weights(value)
        elif isinstance(part, list | tuple):
            for value in part:
                forget_weights(value)

    forget_weights(cfg.model)
    side = args.crop or crop
    cfg.model.data_preprocessor.size = (side, side)
    if args.method == 'excel':
        # The learnt relation takes part, as in the longer part of a training.
        cfg.model.decode_head.dynamic_start = 0
    size = args.batch or batch
    classes = [f'class {k}' for k in range(cfg.model.decode_head.num_classes)]
    classes[0] = 'background'
    cfg.train_dataloader = dict(
        batch_size=size,
        num_workers=0,
        sampler=dict(type='ResumableSampler'),
        dataset=dict(
            type='RandomSamples', crop=side, size=size, classes=classes
        ),
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.repeats + 1)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    for key in ('test_cfg', 'test_dataloader', 'test_evaluator'):
        cfg[key] = None
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook.type != 'CheckDatasetHook'
    ]
    cfg.default_hooks.checkpoint = None
    cfg.param_scheduler = cfg.load_from = None
    cfg.work_dir = work_dir
    return cfg


def measure(args: argparse.Namespace, precision: str) -> dict:
    """Seconds of all parts, by repeat, and the peak memory in bytes."""
    torch.set_num_threads(args.threads)
    logging.disable(logging.WARNING)
    clock = Clock(args.device, processor=args.processor_time)
    dtype = PRECISIONS[precision]
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_config(args, folder)
        if dtype is not None:
            use_amp(cfg)
            if cfg.optim_wrapper.type == 'AmpOptimWrapper':
                cfg.optim_wrapper.update(dtype='bfloat16', loss_scale=1.0)
        torch.manual_seed(0)
        runner = Runner.from_cfg(cfg)
        model = runner.model
        side = cfg.model.data_preprocessor.size[0]
        batch = make_batch(
            cfg.train_dataloader.batch_size,
            side,
            model.decode_head.num_classes,
        )
        images = model.data_preprocessor(batch, True)['inputs']
        step = METHODS[args.method][3](model, side)
        hook = FloorHook(clock, step, images)
        runner.register_hook(hook)
        runner.train()
        flops = step.count_flops(images)
    rate = gemm_rate(args.device, dtype or torch.float32, clock)
    rows = [dict(operations=flops / rate, **row) for row in hook.rows[1:]]
    return dict(rows=rows, peak=peak_bytes(args.device))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--method', choices=METHODS, default='weakclip')
    parser.add_argument('--crop', type=int, help='default: that of the paper')
    parser.add_argument('--batch', type=int, help='default: a small one')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--processor-time', action='store_true')
    parser.add_argument(
        '--precisions',
        nargs='+',
        default=list(PRECISIONS),
        choices=PRECISIONS,
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(
        f'{args.method}, {args.device}, {args.threads} threads; median '
        f'seconds of {args.repeats} steps.\n'
    )
    context = multiprocessing.get_context('spawn')
    header = None
    for precision in args.precisions:
        with context.Pool(1) as pool:
            result = pool.apply(measure, (args, precision))
        rows = result['rows']
        middle = {
            key: statistics.median(row[key] for row in rows) for key in rows[0]
        }
        if header is None:
            header = ['', *middle, 'lowest and highest ratio', 'peak GiB']
            print('|', ' | '.join(header), '|')
            print('|---' * len(header) + '|')
        ratios = [row['ratio'] for row in rows]
        cells = [
            precision,
            *(f'{value:.2f}' for value in middle.values()),
            f'{min(ratios):.2f} to {max(ratios):.2f}',
            f'{result["peak"] / 2**30:.1f}',
        ]
        print('|', ' | '.join(cells), '|', flush=True)


if __name__ == '__main__':
    main()
