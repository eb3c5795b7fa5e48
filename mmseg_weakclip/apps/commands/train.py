"""Train a segmentor.

    weakclip train configs/segmenters/CONFIG --pseudo-masks DIR

trains any segmenter on a folder of pseudo masks.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from mmengine.config import Config

from .arguments import add_common_arguments, load_config

TENSORBOARD = 'TensorboardVisBackend'


def _build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common_arguments(parser)
    parser.add_argument(
        '--pseudo-masks',
        metavar='DIR',
        help='train on the masks in DIR, or in DIR/masks, where our writers '
        'put them; relative to the current folder',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in work-dir, or start if '
        'there is none',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='half precision: '
        'float16 with loss scaling on a GPU, bfloat16 on a '
        'CPU; validations too, their scores in float32',
    )
    parser.add_argument(
        '--tensorboard',
        action='store_true',
        help='write losses and scores for TensorBoard too, into '
        '<work-dir>/<time>/vis_data; with --cfg-options '
        'default_hooks.visualization.draw=True validation images as well',
    )
    return parser


def use_amp(cfg: Config) -> None:
    """Switch a config's training and validation to half precision.

    mmengine validates in float32 whatever the training is in, or, with
    ``val_cfg.fp16``, keeps logits in half precision too. Validation loops
    other than ``ValLoop``, and one with ``fp16``, stay as they are.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        raise SystemExit(f'--amp: the config already has {wrapper.type}')
    import torch

    if torch.cuda.is_available():
        wrapper.type, wrapper.loss_scale = 'AmpOptimWrapper', 'dynamic'
    else:
        wrapper.type = 'CPUAmpOptimWrapper'
    validation = cfg.get('val_cfg')
    if (
        validation
        and validation.get('type', 'ValLoop') == 'ValLoop'
        and 'fp16' not in validation
    ):
        # As in the training, also on CPUs where it is slow.
        kind = 'float16' if torch.cuda.is_available() else 'bfloat16'
        validation.type = 'AmpValLoop'
        validation.setdefault('amp_dtype', wrapper.get('dtype') or kind)


def use_tensorboard(cfg: Config) -> None:
    """Make the visualizer write TensorBoard event files as well."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        print(
            'train.py: --tensorboard needs tensorboard, which is not '
            "installed: pip install -e '.[tensorboard]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    backends = list(cfg.visualizer.get('vis_backends') or ())
    if not any(b['type'] == TENSORBOARD for b in backends):
        backends.append(dict(type=TENSORBOARD))
    cfg.visualizer.vis_backends = backends


def resume(cfg: Config) -> None:
    """Resume from the latest checkpoint, if there is one.

    With ``resume`` alone, mmengine would resume from a config's
    ``load_from``, which holds initial weights and not a training.
    """
    from mmseg_weakclip.engine.checkpoints import find_whole_checkpoint

    latest = find_whole_checkpoint(cfg.work_dir)
    if latest is not None:
        cfg.load_from, cfg.resume = latest, True


def use_pseudo_masks(cfg: Config, folder: str) -> None:
    """Set the masks that a config trains on.

    Raises:
        ValueError: The config has no training, or trains without masks.
        FileNotFoundError: The folder holds no masks.
    """
    from mmengine.logging import print_log

    from mmseg_weakclip.datasets.configs import use_masks_of

    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    if dataset is None:
        raise ValueError('the config has no train_dataloader')
    found = use_masks_of(dataset, folder)
    print_log(f'Training on the masks in {found}.')


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    parser = _build_parser(prog)
    args = parser.parse_args(argv)
    from mmengine.runner import Runner
    from mmseg.registry import RUNNERS

    import mmseg_weakclip.parts  # noqa: F401  (also without custom_imports)
    from mmseg_weakclip.engine.batch_norm import check_batch_norm
    from mmseg_weakclip.engine.loading import require_checkpoint

    cfg = load_config(args)
    if args.pseudo_masks is not None:
        try:
            use_pseudo_masks(cfg, args.pseudo_masks)
        except (OSError, ValueError) as error:
            parser.error(f'--pseudo-masks: {error}')
    if args.resume:
        resume(cfg)
    if args.amp:
        use_amp(cfg)
    if args.tensorboard:
        use_tensorboard(cfg)
    loader = cfg.get('train_dataloader')
    if loader and 'batch_size' in loader:
        processes = int(os.environ.get('WORLD_SIZE', '1'))
        check_batch_norm(cfg.model, loader.batch_size, processes)
    if cfg.get('load_from'):
        require_checkpoint(cfg.load_from)
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    runner.train()
