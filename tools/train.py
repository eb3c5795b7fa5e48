"""Train a segmentor."""

import argparse

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmseg_weakclip.engine.command_line as command_line
from mmseg_weakclip.engine import find_whole_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    command_line.add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the latest checkpoint in work-dir, or start where '
        'there is none',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='half precision: '
        'float16 with loss scaling on a GPU, bfloat16 on a '
        'CPU',
    )
    return parser.parse_args()


def use_amp(cfg: Config) -> None:
    """Switch a config to automatic mixed precision."""
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        raise SystemExit(f'--amp: the config already has {wrapper.type}')
    if torch.cuda.is_available():
        wrapper.type, wrapper.loss_scale = 'AmpOptimWrapper', 'dynamic'
    else:
        wrapper.type = 'CPUAmpOptimWrapper'


def resume(cfg: Config) -> None:
    """Go on from the latest checkpoint, if there is one.

    With ``resume`` alone, mmengine takes a config's ``load_from``, the
    weights that a training starts from, for the training itself.
    """
    latest = find_whole_checkpoint(cfg.work_dir)
    if latest is not None:
        cfg.load_from, cfg.resume = latest, True


def main() -> None:
    args = parse_args()
    cfg = command_line.load_config(args)
    if args.resume:
        resume(cfg)
    if args.amp:
        use_amp(cfg)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    runner.train()


if __name__ == '__main__':
    main()
