"""How long the data stage takes, and a resume with nothing to do.

    python benchmarks/data_stage.py --images 1000 5000 20000

draws a few toyland scenes, copies them under as many names as asked for, and
runs ``weakclip run --until data`` on them, then the same with ``--resume``. A
row for each number of images: seconds per 1,000 images, and the peak memory
of the process.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.writer import IMAGES, write_toyland

SCENES = 20


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--images', type=int, nargs='+', default=[1000, 5000, 20000]
    )
    parser.add_argument(
        '--folder', type=Path, help='folder to work in (default: a new one)'
    )
    return parser.parse_args()


def make_photos(folder: Path, scenes: Path, count: int) -> None:
    """Write photos and their table, each a file of its own."""
    contents = [path.read_bytes() for path in sorted(scenes.glob('*.jpg'))]
    (folder / 'photos').mkdir(parents=True)
    with (folder / 'labels.csv').open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['image', 'labels'])
        for number in range(count):
            name = f'{number:06}.jpg'
            path = folder / 'photos' / name
            path.write_bytes(contents[number % len(contents)])
            table.writerow([name, CLASSES[number % len(CLASSES)]])


def measure(*words: str | Path) -> tuple[float, float]:
    """Return seconds and peak memory in MiB of ``weakclip run``."""
    command = [sys.executable, '-m', 'mmseg_weakclip', 'run', *map(str, words)]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'failed: {" ".join(command)}')
    return time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        root = Path(place)
        write_toyland(root / 'toyland', SCENES, 1, workers=1)
        print(
            '| images | data stage, s | s per 1,000 | peak MiB | '
            'resume, s | s per 1,000 |\n|---|---|---|---|---|---|'
        )
        for count in args.images:
            folder = root / str(count)
            make_photos(folder, root / 'toyland' / IMAGES, count)
            words = ('--work-dir', folder / 'out', '--until', 'data')
            source = (
                '--images', folder / 'photos', '--labels',
                folder / 'labels.csv', '--segmenter', 'fpn_small',
                '--profile', 'toyland', '--gpus', '0',
            )  # fmt: skip
            first, peak = measure(*source, *words)
            again, _ = measure(*words, '--resume')
            print(
                f'| {count:,} | {first:.1f} | {first / count * 1000:.2f} | '
                f'{peak:.0f} | {again:.1f} | {again / count * 1000:.2f} |',
                flush=True,
            )


if __name__ == '__main__':
    main()
