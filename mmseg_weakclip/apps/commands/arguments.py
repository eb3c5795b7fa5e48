"""Flags that train and test share with mmseg, and reading the config."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config

from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import read_config


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that mmseg's train and test tools have in common."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints '
        '(default: work_dirs/<name of the config>)',
    )
    add_override_flag(parser)
    parser.add_argument(
        '--launcher',
        default='none',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        help='how processes were started',
    )
    # torchrun sets it in the environment, older launchers as a flag.
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )


def add_amp_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp`` of commands that predict."""
    parser.add_argument(
        '--amp',
        action='store_true',
        help='networks in half precision, scores in float32: float16 on a '
        'GPU, bfloat16 on a CPU; '
        '--cfg-options test_cfg.amp_dtype=bfloat16 chooses',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that the common arguments name, overrides applied."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    override(cfg, args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    if cfg.launcher == 'pytorch':
        from mmengine.device import get_device

        from mmseg_weakclip.engine.runner import use_cpu_processes

        if get_device() == 'cpu':
            use_cpu_processes(cfg)
    return cfg
