"""Does a run of tools/wsss.py survive `kill -9`, and with what result?

    python benchmarks/interrupted_run.py FINISHED OUT -- --images DIR ...

runs the words behind `--`, those of the finished run FINISHED, in the new
folder OUT, kills it at random moments of the time that FINISHED took, resumes
after each, and at the end prints the scores of both. After each kill all
masks, JSON files, configs and checkpoints of OUT are read: one that is
half-written ends the benchmark with exit code 1.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from mmseg_weakclip.apps.wsss.manifest import Manifest
from mmseg_weakclip.apps.wsss.scoring import SCORES
from mmseg_weakclip.engine.checkpoints import is_whole

TOOL = Path(__file__).resolve().parents[1] / 'tools/wsss.py'


def damaged_files(folder: Path) -> list[str]:
    """Masks, JSON, configs and checkpoints that can't be read, and why."""
    found = []
    for path in folder.rglob('*'):
        if path.name.startswith('.') or not path.is_file():
            continue
        try:
            check_file(path)
        except (OSError, ValueError, SyntaxError) as error:
            found.append(f'{path}: {error}')
    return found


def check_file(path: Path) -> None:
    """Read a file whole, if it is of a kind that is known here.

    Raises:
        OSError, ValueError, SyntaxError: It is damaged.
    """
    if path.suffix == '.png':
        with Image.open(path) as image:
            image.load()
    elif path.suffix == '.json' and path.parent.name != 'vis_data':
        json.loads(path.read_text(encoding='utf-8'))
    elif path.suffix == '.py':
        compile(path.read_text(encoding='utf-8'), path, 'exec')
    elif path.suffix == '.pth' and not is_whole(path):
        raise ValueError('no whole checkpoint')


def temporary_files(folder: Path) -> list[Path]:
    """What a killed process left beside the files that it wrote."""
    return [p for p in folder.rglob('.*') if p.name != '.lock']


def seconds_of(folder: Path) -> dict[str, float]:
    """How long each stage of a finished run took."""
    manifest = Manifest.load(folder)
    if manifest is None:
        raise SystemExit(f'{folder} holds no run')
    waiting = [
        name
        for name, stage in manifest.stages.items()
        if stage.state != 'finished'
    ]
    if waiting:
        raise SystemExit(f'{folder}: not finished: {", ".join(waiting)}')
    return {n: s.seconds or 0.0 for n, s in manifest.stages.items()}


def scores_of(folder: Path) -> dict[str, float]:
    """mIoU of val by what was scored."""
    roles = json.loads((folder / SCORES).read_text())['roles']
    return {name: role['val']['mIoU'] for name, role in roles.items()}


def running_stage(out: Path) -> str:
    manifest = Manifest.load(out)
    if manifest is None:
        return 'nothing yet'
    states = {n: s.state for n, s in manifest.stages.items()}
    running = [n for n, state in states.items() if state == 'running']
    return running[0] if running else 'between stages'


def kill_once(command: list[str], out: Path, seconds: float) -> bool:
    """Run for a while, then kill; False if it was finished before."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    if process.returncode:
        raise SystemExit(f'exit code {process.returncode}: {errors[-500:]}')
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('finished', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('words', nargs='+', help='of the call of wsss.py')
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f'{args.out} exists')
    total = sum(seconds_of(args.finished).values())
    rng = random.Random(args.seed)
    moments = sorted(rng.uniform(0, total) for _ in range(args.kills))
    command = [sys.executable, str(TOOL), *args.words, '--resume']
    command += ['--work-dir', str(args.out)]
    start = time.monotonic()
    for number, (last, moment) in enumerate(
        zip([0.0, *moments], moments, strict=False), 1
    ):
        killed = kill_once(command, args.out, moment - last)
        damaged = damaged_files(args.out)
        print(
            f'{number}. after {moment - last:.0f} s, in '
            f'{running_stage(args.out) if killed else "no stage: finished"}, '
            f'{len(damaged)} damaged files',
            flush=True,
        )
        if damaged:
            raise SystemExit('\n'.join(damaged))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-500:])
    damaged = [*damaged_files(args.out), *temporary_files(args.out)]
    if damaged:
        raise SystemExit('\n'.join(map(str, damaged)))
    minutes = (time.monotonic() - start) / 60
    print(f'finished; {total / 60:.1f} min undisturbed, {minutes:.1f} in all')
    others = scores_of(args.out)
    for name, score in scores_of(args.finished).items():
        print(f'{name:12} {score:6.2f} undisturbed {others[name]:6.2f} killed')


if __name__ == '__main__':
    main()
