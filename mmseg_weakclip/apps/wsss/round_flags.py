"""Flags of the second round, and of training on noisy masks."""

import argparse

from mmseg_weakclip.apps.errors import UserError

from .options import Options

ROUNDS = (1, 2)


def add_round_arguments(group: argparse._ArgumentGroup) -> None:
    """Add the flags of the second round, and of training on noisy masks."""
    group.add_argument(
        '--rounds',
        type=int,
        help='2: the predictions of the segmenter, restricted to the tags and '
        'refined, are the masks of a second segmenter (default: 1)',
    )
    group.add_argument(
        '--ignore-flips',
        action='store_true',
        help='leave out pixels of the second masks whose class changes when '
        'the CRF trusts a class more or less',
    )
    group.add_argument(
        '--self-target',
        action='store_true',
        help='after 60 %% of its training, a segmenter learns from its own '
        'confident predictions',
    )


def check_rounds(options: Options) -> None:
    """Check the flags of the second round.

    Raises:
        UserError: There is no such number of rounds, or flips are asked for
            without a second round or without a CRF.
    """
    if options.rounds not in ROUNDS:
        raise UserError(f'--rounds {options.rounds} must be 1 or 2')
    if not options.ignore_flips:
        return
    if options.rounds == 1:
        raise UserError(
            '--ignore-flips is about the masks of a second round: add '
            '--rounds 2'
        )
    if options.crf == 'none':
        raise UserError(
            '--ignore-flips needs the CRF: leave out --crf none, or it'
        )
