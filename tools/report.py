"""Write a page about a run of tools/wsss.py: one file that needs no network.

    python tools/report.py work_dirs/mine

OUT is the folder of the run, finished or not. The page has its scores,
confusions, curves, images and commands; parts of the run that are not there
yet are named as missing.
"""

import argparse
import sys
from pathlib import Path

from mmseg_weakclip.apps.report.page import IMAGES, write_report
from mmseg_weakclip.apps.run_folder.fields import RunError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folder', type=Path, metavar='OUT')
    parser.add_argument(
        '--images',
        type=int,
        default=IMAGES,
        metavar='N',
        help='show at most so many images (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        help='write the page there (default: OUT/report.html)',
    )
    args = parser.parse_args()
    if args.images < 0:
        parser.error(f'--images {args.images} is less than 0')
    return args


def main() -> None:
    args = parse_args()
    try:
        path = write_report(args.folder, args.images, args.out)
    except (RunError, OSError, ImportError) as error:
        print(f'report.py: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    size = path.stat().st_size / 1e6
    print(f'{path}: {size:.1f} MB')


if __name__ == '__main__':
    main()
