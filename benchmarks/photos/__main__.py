"""Class maps of a classifier on photos, row by row, in benchmarks/photos.md.

Needs the photos of VOC_animals (MMSEG_WEAKCLIP_DATA names the folder above
them) and the weights that tools/model_converters/efficientnet_lite0.py writes.
What is finished is not run again (work_dirs/photos keeps it).

The length of the training is the one of LENGTHS with the highest mean average
precision on the tags of the held-out tenth of the training photos; the
background's threshold of each kind of maps is chosen on the same tags (see
tag_threshold.py), with the first training. Masks of val score the rows, and
choose nothing.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from photo_report import report
from photo_rows import (
    CLASSIFIER,
    CORRELATION,
    START,
    TAGS,
    WORK,
    Row,
    map_rows,
    segmenter_rows,
    training_name,
)
from tag_threshold import choose_threshold

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from steps import (  # noqa: E402  (beside this folder)
    ROOT,
    describe_machine,
    latest_scores,
    once,
)

LENGTHS = (350, 700)
LISTS = 'ImageSets/Segmentation'
# Iterations of a segmenter's training, as its config has them.
SEGMENTER_LENGTH = 1600


class Benchmark:
    """The steps of all rows.

    Args:
        args: Flags of the call.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.work = WORK / ('trial' if args.trial else 'full')
        self.trial = args.trial
        self.data = str(args.data)
        self.weights = str(args.weights)
        self.lengths = (4, 6) if args.trial else LENGTHS
        self.thresholds: dict[str, float] = {}

    def options(self, *splits: str) -> list[str]:
        """Settings of any config: where its photos are."""
        return [f'{split}_dataloader.dataset.data_root={self.data}'
                for split in splits]  # fmt: skip

    def folder(self, name: str, seed: int) -> Path:
        """Where a step works."""
        return self.work / f'{name}_seed{seed}'

    def train(
        self, config: str, name: str, seed: int, length: int, *options: str
    ) -> tuple[str, float]:
        """Checkpoint of a training, and its minutes."""
        folder = self.folder(f'{name}_{length}', seed)
        schedule = [
            f'train_cfg.max_iters={length}',
            f'param_scheduler.1.end={length}',
            f'param_scheduler.1.begin={min(50, length // 2)}',
            f'param_scheduler.0.end={min(50, length // 2)}',
            f'default_hooks.checkpoint.interval={length}',
        ]
        if self.trial:
            schedule.append('train_dataloader.batch_size=4')
        measured = once(
            folder,
            [
                'tools/train.py', config, '--resume', '--work-dir',
                str(folder), '--cfg-options', f'randomness.seed={seed}',
                f'model.backbone.pretrained={self.weights}', *schedule,
                *self.options('train'), *options,
            ],
        )  # fmt: skip
        return str(ROOT / folder / f'iter_{length}.pth'), (
            measured['seconds'] / 60
        )

    def choose_length(self) -> tuple[int, dict[int, float]]:
        """The length with the best precision on held-out tags."""
        found = {}
        for length in self.lengths:
            checkpoint, _ = self.train(CLASSIFIER, 'plain', 0, length)
            folder = self.folder(f'tags_{length}', 0)
            once(
                folder,
                [
                    'tools/test.py', TAGS, checkpoint, '--work-dir',
                    str(folder), '--cfg-options', *self.options('test'),
                ],
            )  # fmt: skip
            found[length] = latest_scores(folder)['tags/mAP']
        return max(found, key=lambda n: (found[n], -n)), found

    def threshold(self, row: Row, length: int) -> float:
        """The threshold of a row's kind of maps, by tags."""
        kind = training_name(row)
        options = dict(data_root=self.data)
        if set(CORRELATION) <= set(row.options):
            kind += ' + correlation'
        if kind not in self.thresholds:
            note = ROOT / self.work / f'threshold_{kind.replace(" ", "")}.json'
            if not note.is_file():
                checkpoint, _ = self.train(
                    CLASSIFIER, training_name(row), 0, length, *row.training
                )
                settings: dict = {
                    f'test_dataloader.dataset.{name}': value
                    for name, value in options.items()
                }
                if 'correlation' in kind:
                    settings['model.decode_head.correlation'] = dict(
                        levels=(0, 1)
                    )
                best, gains = choose_threshold(
                    str(ROOT / TAGS), checkpoint, settings,
                    4 if self.trial else None,
                )  # fmt: skip
                text = json.dumps(dict(best=best, gains=gains), indent=1)
                note.write_text(text)
            self.thresholds[kind] = json.loads(note.read_text())['best']
        return self.thresholds[kind]

    def maps(self, row: Row, split: str, seed: int, length: int) -> dict:
        """Run a row of maps; its scores and minutes."""
        checkpoint, minutes = self.train(
            CLASSIFIER, training_name(row), seed, length, *row.training
        )
        threshold = self.threshold(row, length)
        folder = self.folder(f'{row.stem}_{split}', seed)
        options = [
            f'test_dataloader.dataset.ann_file={LISTS}/{split}.txt',
            f'model.decode_head.background.threshold={threshold}',
            *self.options('test'),
        ]
        if split == 'train':  # its masks are not read
            options.append('test_dataloader.dataset.data_prefix.seg_map_path=')
        if self.trial:
            options.append('test_dataloader.dataset.indices=6')
        measured = once(
            folder,
            [
                'tools/test.py', CLASSIFIER, checkpoint, '--tta', '--out',
                str(folder / 'out'), '--work-dir', str(folder),
                '--cfg-options', *row.options, *options,
            ],
        )  # fmt: skip
        if split == 'train':
            return {}
        scores = latest_scores(folder)
        return dict(
            raw=scores['pseudo_mask/raw_mIoU'],
            refined=scores.get('pseudo_mask/refined_mIoU'),
            minutes=minutes + measured['seconds'] / 60,
        )

    def segmenter(self, row: Row, seed: int) -> dict:
        """Run a segmenter on the masks of START of the same seed."""
        start = next(r for r in map_rows() if r.name == START)
        masks = ROOT / self.folder(f'{start.stem}_train', seed) / 'out/masks'
        options = [
            f'train_dataloader.dataset.data_prefix.seg_map_path={masks}',
            *row.training,
        ]
        length = SEGMENTER_LENGTH
        if self.trial:
            length = 4
            options.append('train_dataloader.dataset.indices=6')
            options.append('train_dataloader.dataset.check_masks=False')
        checkpoint, minutes = self.train(
            row.config, training_name(row), seed, length, *options
        )
        folder = self.folder(f'{row.stem}_val', seed)
        options = [*row.training, *self.options('test')]
        if self.trial:
            options.append('test_dataloader.dataset.indices=6')
        measured = once(
            folder,
            [
                'tools/test.py', row.config, checkpoint, '--work-dir',
                str(folder), '--cfg-options', *options,
            ],
        )  # fmt: skip
        return dict(
            raw=latest_scores(folder)['mIoU'],
            minutes=minutes + measured['seconds'] / 60,
        )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = Path(os.environ.get('MMSEG_WEAKCLIP_DATA', ROOT / '../shared/data'))
    parser.add_argument(
        '--data', type=Path, default=(data / 'VOC_animals').resolve()
    )
    parser.add_argument(
        '--weights',
        type=Path,
        default=ROOT / 'data/pretrained/efficientnet_lite0_imagenet.pth',
    )
    parser.add_argument(
        '--seeds', type=int, default=2, help='trainings (default: 2)'
    )
    parser.add_argument(
        '--trial',
        action='store_true',
        help='a few iterations and photos, to see that all steps run',
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks/photos.md'
    )
    args = parser.parse_args()
    for path in (args.data, args.weights):
        if not path.exists():
            parser.error(f'{path} is not there; see --help')
    args.weights = args.weights.resolve()
    return args


def main() -> None:
    args = parse_args()
    benchmark = Benchmark(args)
    length, lengths = benchmark.choose_length()
    rows = map_rows()
    segmenters = segmenter_rows()
    for seed in range(args.seeds):
        for row in rows:
            row.results.append(benchmark.maps(row, 'val', seed, length))
        start = next(row for row in rows if row.name == START)
        benchmark.maps(start, 'train', seed, length)
        for row in segmenters:
            row.results.append(benchmark.segmenter(row, seed))
    text = report(
        [*rows, *segmenters],
        describe_machine(),
        args.seeds,
        lengths,
        length,
        benchmark.thresholds,
        args.trial,
    )
    args.out.write_text(text)
    print(f'\n{text}\nwritten to {args.out}')


if __name__ == '__main__':
    main()
