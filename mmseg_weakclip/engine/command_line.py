"""What tools/train.py and tools/test.py share."""

import argparse
import atexit
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that users of mmseg know from both tools."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints '
        '(default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings, such as optim_wrapper.optimizer.lr=1e-4 or '
        'key="[a,b]"',
    )
    parser.add_argument(
        '--launcher',
        default='none',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        help='how processes were started',
    )
    # torchrun passes it in the environment, older launchers as a flag.
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config that the common arguments name, overrides applied."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    if cfg.launcher == 'pytorch' and get_device() == 'cpu':
        use_cpu_processes(cfg)
    return cfg


def use_cpu_processes(cfg: Config) -> None:
    """Let the processes of torchrun work together without GPUs.

    mmengine would ask each for its GPU, whatever the backend.
    """
    torch.distributed.init_process_group('gloo')
    # Left to the end of the interpreter, its threads may abort the process.
    atexit.register(torch.distributed.destroy_process_group)
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        ),
    )
