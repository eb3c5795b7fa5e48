"""Check the data of a config before any training or test.

Looks for missing or damaged images, missing seeds, masks of another size or
with unknown ids, image labels that are missing, empty, misspelt or at odds
with the masks, and repeated ids. Of the training split only seeds are opened,
never pixel truth.

Exits with 1 if an error was found, and with 0 on warnings.
"""

import argparse
import os
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.datasets.checks.dataset import check_dataset, count_samples
from mmseg_weakclip.datasets.checks.problems import (
    Problem,
    has_errors,
    summarize_problems,
)
from mmseg_weakclip.datasets.configs import disable_mask_check


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=('train', 'val', 'test'), default='train'
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        '--full',
        dest='thorough',
        action='store_true',
        help='decode every image and mask (default)',
    )
    extent.add_argument(
        '--quick',
        dest='thorough',
        action='store_false',
        help='look for all files, open the first masks only',
    )
    parser.set_defaults(thorough=True)
    parser.add_argument(
        '--num-workers',
        type=int,
        default=os.cpu_count() or 0,
        help='processes; 0 checks in the main one',
    )
    parser.add_argument(
        '--shown', type=int, default=5, help='offenders printed per problem'
    )
    add_override_flag(parser)
    return parser.parse_args(argv)


def check_config(args: argparse.Namespace) -> list[Problem]:
    """Build the data set of one split and check it."""
    cfg = read_config(args.config)
    override(cfg, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise SystemExit(f'{args.config} has no {args.split}_dataloader.')
    # Missing masks are reported together with all other problems.
    disable_mask_check(loader['dataset'])
    try:
        dataset = DATASETS.build(loader['dataset'])
    except (OSError, ValueError, AssertionError) as error:
        # A broken layout is a finding of this tool, not a failure.
        return [Problem('dataset', 'error', args.split, str(error))]
    total = count_samples(dataset)
    bar = progress_bar('check images', total)
    problems = check_dataset(
        dataset,
        thorough=args.thorough,
        num_workers=args.num_workers,
        on_sample=bar.update,
    )
    bar.close()
    print_log(f'{total} images checked.')
    return problems


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    problems = check_config(args)
    print_log(summarize_problems(problems, args.shown))
    return int(has_errors(problems))
