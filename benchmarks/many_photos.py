"""What a run of very many photos costs besides its networks.

    python benchmarks/many_photos.py --images 5000 20000

draws a few toyland scenes and copies them under as many names as asked for. It
measures, on one processor, the data stage, a resume of each stage that has one
image left, the last steps, and a resume of a finished run; then what the run
has on the disk, and what --dry-run says of it. Masks of a few photos are made,
and copied for the others: no network sees all photos.
"""

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.writer import IMAGES, write_toyland

SCENES = 20
# Stages that write masks -> the list of their images, and their folder.
MASKS = {
    'seeds': ('labelled', 'seeds'),
    'masks': ('labelled', 'masks'),
    'predict': ('all', 'predictions'),
}
LAST = ('results', 'report')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--images', type=int, nargs='+', default=[5000, 20000])
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


def use_one_processor() -> None:
    """Leave one of this process's processors to it, where that can be said."""
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(*words: str | Path) -> tuple[float, float]:
    """Return seconds and peak memory in MiB of ``weakclip run``."""
    command = [sys.executable, '-m', 'mmseg_weakclip', 'run', *map(str, words)]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'failed: {" ".join(command)}')
    return time.monotonic() - start, usage.ru_maxrss / 1024


def stage_facts(out: Path) -> dict[str, dict]:
    """Return the records of a run's stages by name."""
    manifest = json.loads((out / 'manifest.json').read_text())
    return {stage['name']: stage for stage in manifest['stages']}


def finish_all_but_one(out: Path, stage: str, work: Callable[[], None]) -> int:
    """Make the masks of a few images, and copy them for all but the last.

    Args:
        out: Folder of the run.
        stage: Stage that writes masks.
        work: Function that runs the stage.

    Returns:
        Number of images.
    """
    name, place = MASKS[stage]
    listed = out / 'data' / f'{name}.txt'
    lines = listed.read_text().splitlines()
    listed.write_text('\n'.join(lines[:SCENES]))
    work()
    listed.write_text('\n'.join([*lines, '']))
    folder = out / place
    (records,) = folder.glob('records_*.jsonl')
    by_id = {
        record['id']: record
        for record in map(json.loads, records.read_text().splitlines())
    }
    made = [by_id[Path(line).stem] for line in lines[:SCENES]]
    with records.open('a') as file:
        for number, line in enumerate(lines[:-1]):
            if number < SCENES:
                continue
            record, new = made[number % SCENES], Path(line).stem
            for kind in 'masks/{}.png', 'scores/{}.npz':
                source = folder / kind.format(record['id'])
                if source.is_file():
                    shutil.copyfile(source, folder / kind.format(new))
            file.write(json.dumps({**record, 'id': new}) + '\n')
    return len(lines)


def run_words(out: Path, stage: str) -> list[str]:
    """Return the command of a stage from the script of its run."""
    text = (out / 'configs/machines.sh').read_text()
    for line in text.splitlines():
        if f'{out}/configs/{stage}.py' in line:
            words = shlex.split(line)
            return words[1:] if words[0] == 'share' else words
    raise SystemExit(f'{out}/configs/machines.sh has no {stage}')


def disk_bytes(folder: Path) -> int:
    """Return the space of all files below a folder, links left out."""
    sizes = (
        path.stat().st_size
        for path in folder.rglob('*')
        if path.is_file() and not path.is_symlink()
    )
    # Space is given out in blocks of 4 KiB.
    return sum(-(-size // 4096) * 4096 for size in sizes)


def measure_run(root: Path, scenes: Path, count: int) -> dict[str, float]:
    """Return what a run of so many photos takes, by what."""
    folder = root / str(count)
    make_photos(folder, scenes, count)
    out = folder / 'out'
    source = (
        '--images', folder / 'photos', '--labels', folder / 'labels.csv',
        '--segmenter', 'fpn_small', '--profile', 'toyland', '--gpus', '0',
        '--iterations', '2', '--batch-size', '2',
    )  # fmt: skip
    words = ('--work-dir', out)
    found: dict[str, float] = {}
    first, peak = measure(*source, *words, '--until', 'data')
    found['data stage, s'] = first
    found['data stage: largest process, MiB'] = peak
    again, _ = measure(*words, '--resume', '--until', 'data')
    found['resume after it, s'] = again
    for stage in MASKS:

        def work(stage: str = stage) -> None:
            command = [sys.executable, '-m', 'mmseg_weakclip']
            command += run_words(out, stage)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        if stage == 'predict':
            measure(*words, '--resume', '--until', 'segmenter')
        finish_all_but_one(out, stage, work)
        measure(*words, '--resume', '--until', stage)
        found[f'{stage}: the last mask, s'] = stage_facts(out)[stage][
            'seconds'
        ]
    measure(*words, '--resume')
    facts = stage_facts(out)
    for stage in LAST:
        found[f'{stage}, s'] = facts[stage]['seconds']
    found['report: largest process, MiB'] = (
        1024 * facts['report']['peak_memory_gib']
    )
    again, peak = measure(*words, '--resume')
    found['resume of the finished run, s'] = again
    found['resume: largest process, MiB'] = peak
    found['report.html, MiB'] = (out / 'report.html').stat().st_size / 2**20
    for part in 'data', 'seeds', 'masks', 'predictions', 'results':
        found[f'{part}/, KiB per photo'] = (
            disk_bytes(out / part) / count / 1024
        )
    return found


def main() -> None:
    args = parse_args()
    use_one_processor()
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        root = Path(place)
        write_toyland(root / 'toyland', SCENES, 1, workers=1)
        columns = []
        for count in args.images:
            columns.append(measure_run(root, root / 'toyland' / IMAGES, count))
            print(f'{count:,} photos: {columns[-1]}', file=sys.stderr)
            shutil.rmtree(root / str(count))
    heads = [f'{count:,} photos' for count in args.images]
    print(f'| | {" | ".join(heads)} |\n|---|{"---|" * len(heads)}')
    for name in columns[0]:
        values = [f'{column[name]:,.1f}' for column in columns]
        print(f'| {name} | {" | ".join(values)} |')


if __name__ == '__main__':
    main()
