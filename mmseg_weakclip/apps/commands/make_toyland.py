"""Write toyland, the toy data set, in the layout of PASCAL VOC.

--plain also writes it in the layout of a user's own images: photos,
labels.csv, classes.yaml, and masks of the validation scenes.
"""

import argparse
import sys
from collections.abc import Sequence

from mmseg_weakclip.toyland.writer import write_plain, write_toyland


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--out',
        default='data/toyland',
        help='folder to write (default: %(default)s)',
    )
    parser.add_argument(
        '--train',
        type=int,
        default=2000,
        help='training scenes (default: %(default)s)',
    )
    parser.add_argument(
        '--val',
        type=int,
        default=300,
        help='validation scenes (default: %(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        default=96,
        help='side in pixels (default: %(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the scenes'
    )
    parser.add_argument(
        '--plain', metavar='DIR', help='folder for photos and labels.csv'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Draw toyland; see ``--help``."""
    args = _parse_args(argv, prog)
    try:
        wrote = write_toyland(
            args.out, args.train, args.val, args.size, args.seed
        )
        if args.plain is not None:
            write_plain(args.out, args.plain)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'{args.out}: {args.train} training and {args.val} validation '
        f'scenes of {args.size} x {args.size} pixels'
        + ('' if wrote else ' (were there already)')
    )
    if args.plain is not None:
        print(f'{args.plain}: photos, labels.csv, classes.yaml, masks')
    return 0
