"""What happens on a device, counted by the line that asks for it."""

import sys
from collections import Counter
from pathlib import Path

PACKAGE = '/mmseg_weakclip/'
# Frames of the pretended device itself, and of torch, tell nothing.
OWN = str(Path(__file__).parent)
TORCH = '/torch/'


class Events:
    """Waits for a device, copies to it, and launches on it.

    Attributes:
        waits: Where the host waits for a result of the device, such as in
            ``.item()``, ``.cpu()``, ``nonzero`` or a boolean index, by line
            and operation.
        uploads: Copies from the host to the device, by line and operation.
            Those from pageable memory wait, too.
        launches: Kernels, by line.
    """

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.uploads: Counter[tuple[str, str]] = Counter()
        self.launches: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget everything so far."""
        for counter in (self.waits, self.uploads, self.launches):
            counter.clear()

    def of_package(self, name: str) -> Counter:
        """Return a counter without what only other packages ask for.

        Args:
            name: Name of the attribute.
        """
        counter = getattr(self, name)
        return Counter(
            {
                key: count
                for key, count in counter.items()
                if not str(key if isinstance(key, str) else key[0]).startswith(
                    '('
                )
            }
        )

    def report(self, most: int = 30) -> str:
        """Return the lines with the most events of each kind."""
        lines = []
        for name in ('waits', 'uploads', 'launches'):
            counter = getattr(self, name)
            lines.append(f'{name}: {counter.total()}')
            for key, count in counter.most_common(most):
                words = key if isinstance(key, str) else '  '.join(key)
                lines.append(f'{count:8}  {words}')
        return '\n'.join(lines)


def calling_line() -> str:
    """Return the innermost line of this package that is running.

    Where none is, the innermost one outside of torch, in brackets.
    """
    other = ''
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if PACKAGE in name and OWN not in name:
            return f'{name.rpartition(PACKAGE)[2]}:{frame.f_lineno}'
        if not other and OWN not in name and TORCH not in name:
            other = f'({name}:{frame.f_lineno})'
        frame = frame.f_back
    return other
