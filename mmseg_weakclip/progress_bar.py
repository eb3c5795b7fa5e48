"""How far long work is, on stderr."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar('T')
# Seconds between updates: on a terminal, and in files and pipes, where each
# stays.
LIVELY, SPARING = 0.1, 2.0


class _Bar(tqdm):
    """Without tqdm's thread: processes are forked beside it."""

    monitor_interval = 0


def progress_bar(total: int | None, tasks: Iterable[T] | None = None) -> tqdm:
    """A bar with the time left.

    Args:
        total: Number of tasks; None if nobody knows.
        tasks: To go through; None for calls of ``update(count=1)``, and
            ``close()`` at the end.
    """
    return _Bar(
        tasks,
        total=total,
        file=sys.stderr,
        mininterval=LIVELY if sys.stderr.isatty() else SPARING,
        # Each task looks at the clock; the thread would for slow ones.
        miniters=1,
        dynamic_ncols=True,
    )
