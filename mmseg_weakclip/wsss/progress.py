"""How far a tool is, read from what it prints."""

import re
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

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
