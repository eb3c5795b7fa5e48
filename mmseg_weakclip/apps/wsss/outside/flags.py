"""Flags about another tool's masks, and their checks."""

import argparse
import os
from pathlib import Path
from typing import Any

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.options import SEEDS, Options

from .veto import RESTS

FLAGS = ('seed_classes', 'seed_rest', 'seed_threshold')


def add_outside_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags about masks of another tool."""
    group = parser.add_argument_group('masks of another tool')
    group.add_argument(
        '--seeds',
        metavar='PATH',
        help='masks to start from: a folder of PNGs or of npz files with '
        'scores, or a JSON file of COCO; instead of a method, or joined with '
        'its masks if --method is given too',
    )
    group.add_argument(
        '--seed-classes',
        metavar='FILE',
        help='names of the ids in these masks, from 1, as --classes takes '
        'them (default: classes.txt beside the masks, or --classes)',
    )
    group.add_argument(
        '--seed-rest',
        help='what pixels of no class are: background; unsure; or complete, '
        'background only in images all of whose labels have a pixel '
        '(default: background where the masks draw it, else complete)',
    )
    group.add_argument(
        '--seed-threshold',
        type=float,
        help='score from which on a pixel of npz files is no background '
        '(default: 0.5)',
    )


def complete_outside(given: dict[str, Any]) -> None:
    """Make the paths of these flags absolute.

    Args:
        given: Flags of this call, changed in place.
    """
    if 'seeds' in given:
        given['seeds'] = os.path.abspath(given['seeds'])
    # Classes may be names between commas, too.
    if Path(given.get('seed_classes', '')).is_file():
        given['seed_classes'] = os.path.abspath(given['seed_classes'])


def check_outside(options: Options) -> None:
    """Check the flags about masks of another tool.

    Raises:
        UserError: One lacks another, or has a wrong value.
    """
    if options.seeds is None:
        for name in FLAGS:
            if getattr(options, name) is not None:
                raise UserError(
                    f'--{name.replace("_", "-")} needs --seeds, the masks '
                    'that it is about'
                )
        if options.method == SEEDS:
            raise UserError(
                f'--method {SEEDS} needs --seeds PATH, the masks to start from'
            )
        return
    check_apart(options.seeds, options.truth)
    rest, threshold = options.seed_rest, options.seed_threshold
    if rest is not None and rest not in RESTS:
        raise UserError(
            f'--seed-rest {rest} is unknown; known: {", ".join(RESTS)}'
        )
    if threshold is not None and not 0 <= threshold < 1:
        raise UserError(f'--seed-threshold {threshold} is not in [0, 1)')


def check_apart(seeds: str, truth: str | None) -> None:
    """Check that masks of another tool are not the true ones.

    Args:
        seeds: Path of ``--seeds``.
        truth: Path of ``--truth``; None for none.

    Raises:
        UserError: One is the other, or lies in it.
    """
    if truth is None:
        return
    one, other = (Path(path).resolve() for path in (seeds, truth))
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UserError(
            f'--seeds {seeds} and --truth {truth} share their masks: no '
            'training may see the truth'
        )
