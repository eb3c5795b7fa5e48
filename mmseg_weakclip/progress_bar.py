"""How far long work is, on stderr."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar('T')
# Seconds between updates: on a terminal, and in files and pipes, where each
# stays.
LIVELY, SPARING = 0.1, 2.0


def progress_bar(total: int | None, tasks: Iterable[T] | None = None) -> tqdm:
    """A bar with the time left.

    Args:
        total: Number of tasks; None if nobody knows.
        tasks: To go through; None for calls of ``update(count=1)``, and
            ``close()`` at the end.
    """
    return tqdm(
        tasks,
        total=total,
        file=sys.stderr,
        mininterval=LIVELY if sys.stderr.isatty() else SPARING,
        dynamic_ncols=True,
    )
