"""Write the page about a run: one file that needs no network.

    weakclip report work_dirs/mine

OUT is the folder of the run, finished or not. The page has its images,
scores, confusions, curves and commands; parts that the run does not have are
left out. needs_a_look.csv beside the page lists the images whose tags and
masks do not fit together.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_weakclip.apps.report.page import IMAGES, write_report
from mmseg_weakclip.apps.run_folder.schema import RunError


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', type=Path, metavar='OUT')
    parser.add_argument(
        '--images',
        type=int,
        default=IMAGES,
        metavar='N',
        help='number of images to show at most (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='write the page there (default: OUT/report.html)',
    )
    args = parser.parse_args(argv)
    if args.images < 0:
        parser.error(f'--images {args.images} is less than 0')
    return args


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    try:
        path = write_report(args.folder, args.images, args.out)
    except (RunError, OSError, ImportError) as error:
        print(f'{prog or "report.py"}: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    size = path.stat().st_size / 1e6
    print(f'{path}: {size:.1f} MB')
