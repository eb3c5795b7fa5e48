"""Run the command of a stage, which ends with this process at the latest."""

import codecs
import io
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from mmseg_weakclip.apps.errors import StageFailed

from .stage_server import (
    Ended,
    StageServer,
    die_with_parent,
    package_environment,
)

ERROR = re.compile(r'^(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b.*')
TAIL = 200
# Units of ru_maxrss per GiB: bytes on a Mac, KiB elsewhere.
MEMORY_PER_GIB = 1 << (30 if sys.platform == 'darwin' else 20)


@dataclass(frozen=True)
class Usage:
    """Peak memory of a command.

    Attributes:
        peak_memory_gib: Peak memory of its largest process, in GiB.
        peak_gpu_gib: Peak GPU memory that it logged, in GiB; None without.
    """

    peak_memory_gib: float
    peak_gpu_gib: float | None


class Process(Protocol):
    """A running command."""

    @property
    def group(self) -> int:
        """Id of its process group."""

    def wait(self) -> Ended:
        """Wait for the end of the command."""


@dataclass(frozen=True)
class Forked:
    """A command that a stage server runs."""

    server: StageServer
    group: int

    def wait(self) -> Ended:
        """Wait for the end of the command."""
        return self.server.wait()


@dataclass(frozen=True)
class Spawned:
    """A command that runs in an interpreter of its own."""

    group: int

    def wait(self) -> Ended:
        """Wait for the end of the command."""
        _, status, usage = os.wait4(self.group, 0)
        return Ended(os.waitstatus_to_exitcode(status), usage.ru_maxrss)


@dataclass(frozen=True)
class Launcher:
    """Starter of the stages' commands.

    Attributes:
        keep_open: File descriptors that each command keeps open.
        settings: Environment variables of the commands.
        server: Server that forks commands of ``weakclip``; None starts
            interpreters.
    """

    keep_open: tuple[int, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    server: StageServer | None = None

    def start(self, command: Sequence[str], output: int) -> Process:
        """Start a command that prints to a file descriptor."""
        own = [sys.executable, '-m', 'mmseg_weakclip']
        if self.server is not None and list(command[:3]) == own:
            pid = self.server.start(command[3:], output, self.keep_open)
            return Forked(self.server, pid)
        process = subprocess.Popen(
            command,
            env=package_environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=self.keep_open,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        # wait4() gets the process by its id, for its memory.
        process.returncode = 0
        return Spawned(process.pid)


def run_tool(
    launcher: Launcher, command: Sequence[str], log: Path, label: str
) -> Usage:
    """Run a command, show its progress, and keep what it prints.

    Args:
        launcher: Launcher that starts the command.
        command: Words of the command line.
        log: File that the output is appended to.
        label: Text in front of the progress.

    Raises:
        StageFailed: The command ended with an error, which the message has.
        KeyboardInterrupt: The user stopped the run; the command ends, too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    progress = ProgressLine(label)
    tail: list[str] = []
    source, output = os.pipe()
    with log.open('a', encoding='utf-8') as file, open(source, 'rb') as pipe:
        try:
            process = launcher.start(command, output)
        finally:
            os.close(output)
        try:
            for line, is_whole in _read_lines(pipe):
                progress.show(line)
                if is_whole:
                    file.write(f'{line}\n')
                    file.flush()
                    tail = [*tail[-TAIL:], line]
            ended = process.wait()
        except BaseException:
            # Its group includes its worker processes.
            os.killpg(process.group, signal.SIGTERM)
            raise
        finally:
            progress.close()
    if ended.code:
        raise StageFailed(
            f'{label} failed: {error_summary(tail, ended.code)} '
            f'(full log: {log})'
        )
    gpu = progress.peak_gpu_mib / 1024 if progress.peak_gpu_mib else None
    return Usage(
        round(ended.max_rss / MEMORY_PER_GIB, 2), gpu and round(gpu, 2)
    )


def capture(launcher: Launcher, command: Sequence[str]) -> tuple[int, str]:
    """Run a short command, and return its exit code and last line.

    Args:
        launcher: Launcher that starts the command.
        command: Words of the command line.

    Returns:
        The exit code, and the last line that the command printed.
    """
    source, output = os.pipe()
    with open(source, 'rb') as pipe:
        try:
            process = launcher.start(command, output)
        finally:
            os.close(output)
        lines = pipe.read().decode(errors='replace').split('\n')
    code = process.wait().code
    return code, next((li for li in reversed(lines) if li.strip()), '')


def _read_lines(pipe: io.BufferedReader) -> Iterator[tuple[str, bool]]:
    """Yield output lines as they come, and '' after each silent interval.

    The flag is False for lines that are overwritten, as by progress bars.
    """
    decode = codecs.getincrementaldecoder('utf-8')('replace').decode
    rest = ''
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(TICK):
                yield '', False
                continue
            # Not pipe.read(), whose buffer the selector does not see.
            chunk = os.read(pipe.fileno(), 1 << 16)
            if not chunk:
                break
            rest += decode(chunk)
            *lines, rest = re.split(r'(\r\n|\n|\r)', rest)
            for text, end in zip(lines[::2], lines[1::2]):
                if text:
                    yield text, end != '\r'
    if rest:
        yield rest, True


def error_summary(lines: Sequence[str], code: int) -> str:
    """Return the error message at the end of a log."""
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
# Share of the work from which on the time left is shown.
FIRST_GUESS = 0.02
# Seconds between lines where the terminal line cannot be rewritten.
QUIET = 30.0
# Seconds after which a terminal shows that a silent command still runs.
TICK = 2.0
WIDTH = 78


def describe_progress(line: str) -> str | None:
    """Return the progress in a line of output as a note, or None."""
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
    """Progress on the last line of a terminal, or in occasional lines.

    Attributes:
        label: Text in front of the progress.
        stream: Stream to write to.
        peak_gpu_mib: Largest GPU memory in the lines so far, in MiB.
    """

    label: str
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    peak_gpu_mib: int = 0
    _note: str | None = None
    _started: float = field(default_factory=time.monotonic)
    _written: float = field(default_factory=time.monotonic)

    def show(self, line: str) -> None:
        """Show the progress in a line of output; '' if nothing was printed."""
        if memory := MEMORY.search(line):
            self.peak_gpu_mib = max(self.peak_gpu_mib, int(memory[1]))
        note = describe_progress(line)
        if note is not None:
            first, self._note = self._note is None, note
            self._write(note, at_once=first)
        elif not line:
            elapsed = time.monotonic() - self._started
            self._write(f'{self._note or "at work"}, for {elapsed:.0f} s')

    def _write(self, note: str, *, at_once: bool = False) -> None:
        text = f'{self.label}: {note}'
        if self.stream.isatty():
            self.stream.write(f'\r{text[:WIDTH]:<{WIDTH}}')
        elif at_once or time.monotonic() - self._written >= QUIET:
            self._written = time.monotonic()
            self.stream.write(f'{text}\n')
        self.stream.flush()

    def close(self) -> None:
        """Clear the line of progress."""
        if self.stream.isatty():
            self.stream.write(f'\r{"":<{WIDTH}}\r')
            self.stream.flush()
