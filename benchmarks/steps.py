"""Steps of a benchmark that are run once: commands, and what they took."""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def measure(command: list[str]) -> dict[str, float]:
    """Run a command; its seconds and peak memory in GiB."""
    print(f'\n$ python {shlex.join(command)}', flush=True)
    start = time.time()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'failed: python {shlex.join(command)}')
    return dict(seconds=time.time() - start, gib=usage.ru_maxrss / 2**20)


def once(folder: Path, command: list[str]) -> dict[str, float]:
    """The same, unless an earlier run of the benchmark has done it."""
    note = ROOT / folder / 'measured.json'
    if not note.is_file():
        measured = measure(command)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(measured))
    return json.loads(note.read_text())


def latest_scores(folder: Path) -> dict[str, float]:
    """What the last test in a folder has found."""
    # Named by the time of the run; the masks' folder lies beside them.
    notes = sorted((ROOT / folder).glob('[0-9]*/*.json'))
    return json.loads(notes[-1].read_text().splitlines()[-1])


def describe_machine() -> str:
    """What the scores were made on."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f'{os.cpu_count()} CPU cores'
    )
    return (
        f'{device}, torch {torch.__version__}, '
        f'Python {platform.python_version()}'
    )


START, END = '<!-- tables -->', '<!-- end -->'


def write_tables(path: Path, tables: str) -> None:
    """Write tables between the marks of a page, whose other text stays.

    A page that is not there becomes one of the tables alone.
    """
    text = path.read_text() if path.is_file() else f'{START}\n{END}\n'
    before, _, rest = text.partition(START)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f'{path} lacks the marks {START} and {END}')
    path.write_text(f'{before}{START}\n\n{tables}\n{END}{after}')
