r"""Score every background threshold of a head, in one pass over the data.

    python tools/sweep_threshold.py configs/toyland/zero_shot.py \
        --thresholds 0.05:0.95:0.05 0.97

For a decode head with a `threshold`, such as RegionTextHead or PatchTextHead.
The test set of the config is scored as tools/test.py would at each threshold.
The best one is chosen with the pixel truth of that set, so its score is not a
fair result there; output and file say so.

With --without-truth no mask is read. The output then has the share of
background, the number of classes per image, and, if images have labels, how
well the classes found agree with them. That is fair, but labels do not say how
large objects are: the threshold they choose may be far from the best.
"""

import argparse
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmcv.transforms import LoadAnnotations
from mmengine import fileio
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmseg.datasets import PackSegInputs
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, METRICS, TRANSFORMS
from prettytable import PrettyTable

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.engine.runner import InferenceRunner, check_is_trained
from mmseg_weakclip.evaluation.thresholds import (
    check_threshold,
    parse_thresholds,
)

from .arguments import add_amp_flag, add_common_arguments, load_config

# Options that BackgroundIoU copies from the config's own metric.
OPTIONS = ('ignore_index', 'nan_to_num', 'collect_device')


def _parse_args(
    argv: Sequence[str] | None, prog: str | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_arguments(parser)
    parser.add_argument(
        'checkpoint', nargs='?', help='weights; none for training-free methods'
    )
    parser.add_argument(
        '--thresholds',
        nargs='+',
        default=['0.05:0.95:0.05'],
        metavar='T',
        help='numbers, or ranges start:stop:step with both ends '
        '(default: 0.05:0.95:0.05)',
    )
    parser.add_argument(
        '--without-truth', action='store_true', help='read no masks'
    )
    parser.add_argument(
        '--image-labels',
        metavar='FILE',
        help='labels of the images, for --without-truth: a file that '
        'LoadImageLabels reads, below data_root or by its whole path',
    )
    add_amp_flag(parser)
    parser.add_argument(
        '--out', type=Path, metavar='FILE.json', help='write all scores there'
    )
    args = parser.parse_args(argv)
    if args.image_labels and not args.without_truth:
        parser.error('--image-labels needs --without-truth')
    try:
        args.thresholds = parse_thresholds(args.thresholds)
    except ValueError as error:
        parser.error(f'--thresholds: {error}')
    return args


def use_truth(cfg: Config) -> None:
    """Replace the config's IoU metric by one over all thresholds."""
    evaluators = cfg.test_evaluator
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    metrics = [
        metric
        for metric in evaluators
        if issubclass(METRICS.get(metric.type), IoUMetric)
    ]
    if not metrics:
        raise SystemExit(
            "the config's test_evaluator has no IoUMetric or "
            f'PartialIoUMetric, only {[m.type for m in evaluators]}: set '
            "test_evaluator=dict(type='PartialIoUMetric', "
            "iou_metrics=['mIoU']), or use --without-truth"
        )
    options = {
        name: metrics[0][name] for name in OPTIONS if name in metrics[0]
    }
    cfg.test_evaluator = dict(type='BackgroundIoU', **options)


def leave_out_truth(cfg: Config, image_labels: str | None) -> None:
    """Drop the loading of masks, and score by image labels if given."""
    dataset = cfg.test_dataloader.dataset
    pipeline = [
        step
        for step in dataset.pipeline
        if not issubclass(TRANSFORMS.get(step.type), LoadAnnotations)
    ]
    if image_labels is not None:
        (pack,) = (s for s in pipeline if s.type == 'PackSegInputs')
        default = inspect.signature(PackSegInputs).parameters['meta_keys']
        keys = pack.get('meta_keys', default.default)
        pack.meta_keys = (*keys, 'image_labels')
        load = ConfigDict(
            type='LoadImageLabels',
            ann_file=image_labels,
            classes=_read_classes(dataset),
            allow_empty=True,
        )
        pipeline.insert(pipeline.index(pack), load)
    dataset.pipeline = pipeline
    cfg.test_evaluator = dict(type='LabelAgreement')


def _read_classes(dataset: ConfigDict) -> list[str]:
    """Return the class names of a data set, without reading its files."""
    bare = {**dataset, 'lazy_init': True, 'pipeline': []}
    return list(DATASETS.build(bare).metainfo['classes'])


def has_masks(dataset: BaseDataset) -> bool:
    """Return whether any image has a true mask; stop at the first."""
    paths = (
        dataset.get_data_info(index).get('seg_map_path')
        for index in range(len(dataset))
    )
    return any(path and fileio.exists(path) for path in paths)


# The scores that choose the best threshold.
BY_TRUTH, BY_LABELS = 'mIoU', 'f1'
COLUMNS = {
    'mIoU': 'mIoU',
    'background_IoU': 'background IoU',
    'foreground_mIoU': 'foreground mIoU',
    'background': 'background %',
    'classes': 'classes per image',
    'precision': 'precision',
    'recall': 'recall',
    'f1': 'F1',
}


def report_sweep(
    scores: Mapping[float, Mapping[str, float]],
    split: str,
    current: float | None = None,
) -> dict:
    """Choose a threshold, and report which data chose it.

    Args:
        scores: Metrics of each threshold, all of ``BackgroundIoU`` or all of
            ``LabelAgreement``.
        split: Description of the data that was swept.
        current: Threshold in the config.

    Returns:
        ``thresholds``, a list of rows; ``best``, the lowest of the best
        thresholds, or None if nothing can choose; ``chosen_by``, 'pixel
        truth', 'image labels' or None; ``pixel_truth_images`` and
        ``image_label_images``, the numbers of images that were used; and
        ``note``, the same as a sentence. ``split`` and ``current`` as given.

    Raises:
        ValueError: The scores are IoUs, but none of the images has a mask.
    """
    first = next(iter(scores.values()))
    images = first['images']
    with_truth = 'background' not in first
    if with_truth and not images:
        raise ValueError(
            f'no image of {split} has a mask to score against: use '
            '--without-truth'
        )
    key = BY_TRUTH if with_truth else BY_LABELS
    best = max(scores, key=lambda t: (scores[t][key], -t)) if images else None
    if with_truth:
        chosen_by = 'pixel truth'
        note = (
            f'This choice has seen the pixel truth of {images} images of '
            f'{split}: the best score is not a fair result on that split.'
        )
    elif images:
        chosen_by = 'image labels'
        note = (
            f'This choice has seen the image labels of {images} images of '
            f'{split}, and no mask.'
        )
    else:
        chosen_by = None
        note = (
            f'Nothing is chosen: no mask of {split} was read, and its samples '
            'have no image_labels; --image-labels FILE gives them some.'
        )
    return dict(
        split=split,
        current=current,
        best=best,
        chosen_by=chosen_by,
        pixel_truth_images=images if with_truth else 0,
        image_label_images=0 if with_truth else images,
        note=note,
        thresholds=[
            dict(threshold=threshold)
            | {name: row[name] for name in COLUMNS if name in row}
            for threshold, row in scores.items()
        ],
    )


def sweep_table(report: Mapping) -> str:
    """Return a table of a report's thresholds, and its note."""
    rows = report['thresholds']
    names = [name for name in COLUMNS if name in rows[0]]
    table = PrettyTable(['threshold', *(COLUMNS[name] for name in names), ''])
    for row in rows:
        threshold = row['threshold']
        marks = [
            mark
            for mark, value in (
                ('best', report['best']),
                ('as configured', report['current']),
            )
            if threshold == value
        ]
        values = [f'{row[name]:.2f}' for name in names]
        table.add_row([f'{threshold:g}', *values, ', '.join(marks)])
    return f'{table.get_string()}\n{report["note"]}'


def encode_report(report: Mapping) -> bytes:
    """Encode a report as JSON, with null for NaN."""

    def plain(value):
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return json.dumps(plain(report), indent=2).encode() + b'\n'


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    if args.checkpoint is not None:
        cfg.load_from = args.checkpoint
    if args.without_truth:
        leave_out_truth(cfg, args.image_labels)
    else:
        use_truth(cfg)
    loop = 'AmpThresholdSweepLoop' if args.amp else 'ThresholdSweepLoop'
    cfg.test_cfg.update(type=loop, thresholds=args.thresholds)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    runner = InferenceRunner.from_cfg(cfg)
    try:
        check_threshold(runner.model)
    except ValueError as error:
        raise SystemExit(f'{args.config}: {error}') from error
    check_is_trained(runner, args.config)
    current = runner.model.decode_head.threshold
    dataset = runner.test_loop.dataloader.dataset
    ann_file = getattr(dataset, 'ann_file', None)
    split = f'{type(dataset).__name__}, {ann_file or "all images"}'
    if not args.without_truth and not has_masks(dataset):
        raise SystemExit(f'no masks found for {split}: use --without-truth')
    scores = runner.test()
    try:
        report = report_sweep(scores, split, current)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    if not is_main_process():
        return
    print(sweep_table(report))
    if args.out is not None:
        sources = dict(config=args.config, checkpoint=cfg.load_from)
        write_atomically(args.out, encode_report(sources | report))
