"""Test a segmentor, or make seeds and pseudo masks with it."""

import argparse
import os
from collections.abc import Sequence

from mmengine.config import Config

from .arguments import add_amp_flag, add_common_arguments, load_config


def _parse_args(
    argv: Sequence[str] | None, prog: str | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    add_common_arguments(parser)
    parser.add_argument(
        'checkpoint', nargs='?', help='weights; none for training-free methods'
    )
    views = parser.add_mutually_exclusive_group()
    views.add_argument(
        '--tta',
        action='store_true',
        help="average over the views of the config's tta_pipeline",
    )
    views.add_argument(
        '--protocol',
        action='store_true',
        help='score a trained network four times in one pass: single view; '
        'multi-scale + flip (tta_pipeline); each with a dense CRF',
    )
    parser.add_argument(
        '--crf',
        metavar='PRESET',
        help='CRF of --protocol: deeplab, clipes, excel, weclip, weakclip, '
        "... (default: the config's protocol.crf)",
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='print the IoU of each class besides (with --protocol)',
    )
    add_amp_flag(parser)
    parser.add_argument(
        '--out', metavar='DIR', help='write the predicted masks to DIR'
    )
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window'
    )
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='paint predictions over the images in DIR',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds between shown images',
    )
    args = parser.parse_args(argv)
    if not args.protocol and (args.crf is not None or args.per_class):
        parser.error('--crf and --per-class need --protocol')
    return args


def use_tta(cfg: Config) -> None:
    """Switch a config to averaging over the views of ``tta_pipeline``."""
    for key in ('tta_model', 'tta_pipeline'):
        if not cfg.get(key):
            raise SystemExit(
                f'--tta: the config has no {key}, so it tests one view'
            )
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def use_half_precision(cfg: Config) -> None:
    """Switch a config's test to half precision."""
    kind = cfg.test_cfg.get('type', 'TestLoop')
    if kind not in ('TestLoop', 'AmpTestLoop'):
        raise SystemExit(f'--amp: the config already has {kind}')
    cfg.test_cfg.type = 'AmpTestLoop'


def set_output(cfg: Config, folder: str) -> None:
    """Set the folder of ``PseudoMaskWriter``, or add one that writes masks."""
    evaluators = cfg.test_evaluator
    if isinstance(evaluators, dict):
        evaluators = [evaluators]
    writers = [e for e in evaluators if e.type == 'PseudoMaskWriter']
    if writers:
        writers[0].output_dir = folder
        return
    # format_only: images need no truth. The log names the parent of
    # output_dir, which for 'DIR/' is DIR.
    writer = dict(
        type='IoUMetric', output_dir=os.path.join(folder, ''), format_only=True
    )
    cfg.test_evaluator = [*evaluators, writer]


def set_visualization(cfg: Config, args: argparse.Namespace) -> None:
    """Turn on mmseg's ``SegVisualizationHook``."""
    if 'visualization' not in cfg.default_hooks:
        raise SystemExit(
            '--show, --show-dir: the config has no default_hooks.visualization'
        )
    # Every image; the default of upstream's hook is each fiftieth batch.
    cfg.default_hooks.visualization.update(draw=True, interval=1)
    if args.show:
        cfg.default_hooks.visualization.update(
            show=True, wait_time=args.wait_time
        )
    if args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    import mmseg_weakclip.parts  # noqa: F401  (also without custom_imports)
    from mmseg_weakclip.engine.loading import require_checkpoint
    from mmseg_weakclip.engine.protocol import use_protocol
    from mmseg_weakclip.engine.runner import InferenceRunner, check_is_trained

    cfg = load_config(args)
    if args.checkpoint is not None:
        cfg.load_from = args.checkpoint
    if cfg.get('load_from'):
        require_checkpoint(cfg.load_from)
    if args.tta:
        use_tta(cfg)
    elif args.protocol:
        use_protocol(cfg, args.crf, per_class=args.per_class)
    if args.amp:
        use_half_precision(cfg)
    if args.out is not None:
        set_output(cfg, args.out)
    if args.show or args.show_dir:
        set_visualization(cfg, args)
    runner = InferenceRunner.from_cfg(cfg)
    check_is_trained(runner, args.config)
    runner.test()
