"""Running a stage's tool, so that nothing outlives this process."""

import codecs
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from mmseg_weakclip.apps.errors import StageFailed

# Linux: a signal for the child when its parent dies in any way.
PR_SET_PDEATHSIG = 1
ERROR = re.compile(r'^(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*')
TAIL = 200
# Of ru_maxrss: bytes on a Mac, KiB elsewhere.
MEMORY_PER_GIB = 1 << (30 if sys.platform == 'darwin' else 20)


@dataclass(frozen=True)
class Usage:
    """What a tool took.

    Attributes:
        peak_memory_gib: Of its largest process.
        peak_gpu_gib: As it says itself; None without a GPU.
    """

    peak_memory_gib: float
    peak_gpu_gib: float | None


def run_tool(
    command: Sequence[str],
    log: Path,
    label: str,
    cwd: Path,
    keep_open: Sequence[int] = (),
    settings: Mapping[str, str] | None = None,
) -> Usage:
    """Run a command, show how far it is, and keep what it prints.

    Args:
        command: Its words.
        log: File that its output is added to.
        label: For the progress line.
        cwd: Folder that it works in.
        keep_open: File descriptors that it holds as long as it lives.
        settings: More variables of its environment.

    Raises:
        StageFailed: It ended with an error; the message has its last words.
        KeyboardInterrupt: The user stopped it; it is stopped, too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressLine(label)
    tail: list[str] = []
    environment = {**os.environ, 'PYTHONUNBUFFERED': '1', **(settings or {})}
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, (str(cwd), environment.get('PYTHONPATH')))
    )
    with (
        log.open('a', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=tuple(keep_open),
            start_new_session=True,
            preexec_fn=_die_with_parent,
        ) as process,
    ):
        try:
            for line, is_whole in _read_lines(process):
                progress.show(line)
                if is_whole:
                    file.write(f'{line}\n')
                    file.flush()
                    tail = [*tail[-TAIL:], line]
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            # Also its workers, which are of its session.
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            progress.close()
    if process.returncode:
        raise StageFailed(
            f'{label} failed: {last_words(tail, process.returncode)} '
            f'(all of it: {log})'
        )
    gpu = progress.peak_gpu_mib / 1024 if progress.peak_gpu_mib else None
    return Usage(
        round(usage.ru_maxrss / MEMORY_PER_GIB, 2), gpu and round(gpu, 2)
    )


def _die_with_parent() -> None:
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_lines(process: subprocess.Popen) -> Iterator[tuple[str, bool]]:
    """Lines as they come; those that are overwritten are not whole."""
    decode = codecs.getincrementaldecoder('utf-8')('replace').decode
    rest = ''
    while chunk := process.stdout.read1(1 << 16):
        rest += decode(chunk)
        *lines, rest = re.split(r'(\r\n|\n|\r)', rest)
        for text, end in zip(lines[::2], lines[1::2]):
            if text:
                yield text, end != '\r'
    if rest:
        yield rest, True


def last_words(lines: Sequence[str], code: int) -> str:
    """What an error was, from the end of a log."""
    for line in reversed(lines):
        if ERROR.match(line.strip()):
            return line.strip()
    if code < 0:
        return f'killed by {signal.Signals(-code).name}'
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f'exit code {code}'


LOOP = re.compile(
    r'(?:Iter|Epoch)\((train|val|test)\)\s*(?:\[\d+\])?\s*'
    r'\[\s*(\d+)/(\d+)\].*?eta: ((?:\d+ days?, )?[\d:]+)'
)
LOSS = re.compile(r'\bloss: ([\d.eE+-]+|nan)')
BAR = re.compile(r'(\d+)/(\d+) \[[\d:]+<([\d:]+)')
MEMORY = re.compile(r'\bmemory: (\d+)')
# Share of the work behind which a guess at the rest is told.
FIRST_GUESS = 0.02
# Between lines where the terminal can't be rewritten, in seconds.
QUIET = 30.0
WIDTH = 78


def describe_progress(line: str) -> str | None:
    """A short note on how far a tool is; None if the line does not tell."""
    if found := LOOP.search(line):
        mode, done, total, eta = found.groups()
        text = f'{done}/{total}, {eta} left'
        if mode == 'val':
            return f'validation {text}'
        if loss := LOSS.search(line):
            text += f', loss {loss[1]}'
        return text
    if found := BAR.search(line):
        done, total, eta = found.groups()
        if int(done) < FIRST_GUESS * int(total):
            return f'{done}/{total}'
        return f'{done}/{total}, {eta} left'
    return None


@dataclass
class ProgressLine:
    """The last line of a terminal, or a line now and then elsewhere.

    Attributes:
        label: What is going on.
        stream: Where to write.
        peak_gpu_mib: The largest GPU memory that was told.
    """

    label: str
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    peak_gpu_mib: int = 0
    _written: float = 0.0

    def show(self, line: str) -> None:
        """Take a line of a tool's output."""
        if memory := MEMORY.search(line):
            self.peak_gpu_mib = max(self.peak_gpu_mib, int(memory[1]))
        note = describe_progress(line)
        if note is None:
            return
        text = f'{self.label}: {note}'
        if self.stream.isatty():
            self.stream.write(f'\r{text[:WIDTH]:<{WIDTH}}')
        elif time.monotonic() - self._written >= QUIET:
            self._written = time.monotonic()
            self.stream.write(f'{text}\n')
        self.stream.flush()

    def close(self) -> None:
        """Leave a clean line."""
        if self.stream.isatty():
            self.stream.write(f'\r{"":<{WIDTH}}\r')
            self.stream.flush()
