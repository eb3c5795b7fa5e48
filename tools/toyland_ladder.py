"""Every way to masks on toyland, side by side, in benchmarks/toyland.md.

Runs the tools that a data set of your own needs, a row each: seeds by every
dense path, what enrichment, affinity, PAR and CRF add, CLIP-ES, ExCEL and
WeakCLIP from the best seeds. What is finished is not run again (work_dirs/
ladder keeps it). All scores are on val with image labels, unless said; no
threshold is picked with truth; the seeds that WeakCLIP starts from are.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mmseg_weakclip.models import PRESETS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = 'configs/toyland'
WORK = Path('work_dirs/ladder')
LIST = 'test_dataloader.dataset.ann_file=ImageSets/Segmentation'
CRF = (
    'test_evaluator.crf.gaussian_sxy=1.',
    'test_evaluator.crf.bilateral_sxy=20.',
    'test_evaluator.crf.bilateral_srgb=13.',
)
CAA = (
    'model.backbone.attention_layers=3',
    'model.decode_head.affinity.box_threshold=.4',
)
PAR = ('test_evaluator.par.iterations=20',)


@dataclass
class Row:
    """A line of the ladder.

    Attributes:
        name: What it is.
        config: Config of its test, below configs/toyland.
        options: Settings that differ from the config's.
        training: Config of what is trained before; None trains nothing.
        training_options: Settings that differ from that config's.
        without_labels: Whether the test sees no image labels.
    """

    name: str
    config: str = 'seeds.py'
    options: tuple[str, ...] = ()
    training: str | None = None
    training_options: tuple[str, ...] = ()
    without_labels: bool = False
    results: list[dict] = field(default_factory=list)


def seed_rows() -> list[Row]:
    """Training-free rows; the paths first, then what helps the best."""
    rows = [Row('plain CLIP', options=('model.backbone.dense=None',))]
    for preset in sorted(set(PRESETS) - {'proxy', 'nacclip', 'excel'}):
        rows.append(Row(preset, options=(f'model.backbone.dense={preset}',)))
    for layers in (1, 3):
        name = f'excel, last {layers} of 5 blocks'
        option = f'model.backbone.dense.layers={layers}'
        rows.append(Row(name, options=(option,)))
    return [
        *rows,
        Row('excel, heads summed', options=('model.backbone.dense=excel',)),
        Row('excel, heads apart'),
        Row('+ TSE', 'seeds_tse.py'),
        Row('+ CAA', options=CAA),
        Row('+ PAR', options=PAR),
        Row('+ CRF', options=CRF),
        Row('CLIP-ES', 'clipes.py'),
        Row('excel, zero-shot', 'zero_shot.py', without_labels=True),
    ]


def trained_rows(seeds: str) -> list[Row]:
    """Rows with a training in them."""
    start = f'train_dataloader.dataset.data_prefix.seg_map_path={seeds}'
    excel = dict(training='excel.py')
    weakclip = dict(training='weakclip.py', training_options=(start,))
    return [
        Row('ExCEL, its maps', 'excel_seeds.py', **excel),
        Row('ExCEL, network', 'excel.py', **excel, without_labels=True),
        Row('WeakCLIP, its masks', 'weakclip_masks.py', **weakclip),
        Row(
            'WeakCLIP, network',
            'weakclip.py',
            **weakclip,
            without_labels=True,
        ),
    ]


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; its seconds and peak memory in GiB."""
    print(f'\n$ python {shlex.join(command)}', flush=True)
    start = time.time()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'failed: python {shlex.join(command)}')
    return dict(seconds=time.time() - start, gib=usage.ru_maxrss / 2**20)


def once(folder: Path, command: list[str]) -> dict[str, float]:
    """The same, unless an earlier run of the ladder has done it."""
    note = ROOT / folder / 'measured.json'
    if not note.is_file():
        measured = measure(command)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(measured))
    return json.loads(note.read_text())


def latest_scores(folder: Path) -> dict[str, float]:
    # Named by the time of the run; the masks' folder lies beside them.
    notes = sorted((ROOT / folder).glob('[0-9]*/*.json'))
    return json.loads(notes[-1].read_text().splitlines()[-1])


def train(row: Row, seed: int) -> tuple[Path, dict[str, float]]:
    """Checkpoint of a row's training, and what the training took."""
    folder = WORK / f'{Path(row.training).stem}_seed{seed}'
    options = [f'randomness.seed={seed}', *row.training_options]
    measured = once(
        folder,
        [
            'tools/train.py',
            f'{CONFIGS}/{row.training}',
            '--resume',
            *('--work-dir', str(folder), '--cfg-options'),
            *options,
        ],
    )
    return (ROOT / folder / 'last_checkpoint').read_text().strip(), measured


def run(row: Row, split: str = 'val', seed: int = 0) -> dict[str, float]:
    """Run a row; scores, seconds and memory of its test and training."""
    stem = row.name.replace(' ', '_').replace(',', '').replace('+', 'with')
    folder = WORK / f'{stem}_{split}_seed{seed}'
    command = ['tools/test.py', f'{CONFIGS}/{row.config}']
    total = dict(seconds=0.0, gib=0.0)
    if row.training:
        checkpoint, total = train(row, seed)
        command.append(str(checkpoint))
    if not row.without_labels:
        command += ['--tta', '--out', str(folder / 'out')]
    command += ['--work-dir', str(folder), '--cfg-options', *row.options]
    measured = once(folder, [*command, f'{LIST}/{split}.txt'])
    scores = latest_scores(folder)
    return dict(
        raw=scores.get('pseudo_mask/raw_mIoU', scores.get('mIoU')),
        refined=scores.get('pseudo_mask/refined_mIoU'),
        minutes=(total['seconds'] + measured['seconds']) / 60,
        gib=max(total['gib'], measured['gib']),
    )


def cell(values: list[float | None], digits: int = 1) -> str:
    """One value, or the mean and half the range of several."""
    if None in values:
        return ''
    if len(values) == 1:
        return f'{values[0]:.{digits}f}'
    half = (max(values) - min(values)) / 2
    return f'{np.mean(values):.{digits}f} ± {half:.{digits}f}'


def table(rows: list[Row]) -> str:
    """The ladder as Markdown."""
    keys = ('raw', 'refined', 'minutes', 'gib')
    lines = [
        '| | image labels | mIoU | refined | minutes | GiB |',
        '|---|---|---|---|---|---|',
    ]
    for row in rows:
        values = [
            cell([result[key] for result in row.results]) for key in keys
        ]
        labels = 'no' if row.without_labels else 'yes'
        lines.append(f'| {row.name} | {labels} | {" | ".join(values)} |')
    return '\n'.join(lines)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--seeds',
        type=int,
        default=2,
        help='trainings of each row (default: %(default)s)',
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks/toyland.md'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    measure(['tools/make_toyland.py', '--out', 'data/toyland'])
    bank = 'data/toyland/bank.safetensors'
    if not (ROOT / bank).is_file():
        command = f'tools/build_attribute_bank.py toyland --out {bank}'
        clip = '--clusters 40 --model toyclip --pretrained toyland'
        measure([*command.split(), *clip.split()])
    rows = seed_rows()
    for row in rows:
        row.results.append(run(row))
    best = max(
        (row for row in rows if not row.without_labels),
        key=lambda row: row.results[0]['raw'],
    )
    run(best, 'train')
    stem = best.name.replace(' ', '_').replace(',', '').replace('+', 'with')
    seeds = ROOT / WORK / f'{stem}_train_seed0/out/masks'
    for row in trained_rows(str(seeds)):
        rows.append(row)
        for seed in range(args.seeds):
            row.results.append(run(row, seed=seed))
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f'{os.cpu_count()} CPU cores'
    )
    text = (
        '# Toyland, all ways to masks\n\n'
        'mIoU in percent on the 300 scenes of val, by `python '
        f'tools/toyland_ladder.py` ({device}, torch {torch.__version__}, '
        f'Python {platform.python_version()}). Trained rows are means of '
        f'{args.seeds} trainings with half their range; refined is after PAR '
        'or CRF; minutes include training and start of the tools; GiB is '
        'the peak of the main process. Rows with a + add one thing to excel '
        f'with heads apart. WeakCLIP starts from the seeds of the best row by '
        f'its unrefined mIoU on val, a choice by truth: {best.name!r}.\n\n'
        f'{table(rows)}\n'
    )
    args.out.write_text(text)
    print(f'\n{text}\nwritten to {args.out}')


if __name__ == '__main__':
    main()
