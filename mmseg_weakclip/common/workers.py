"""Worker processes that inherit no threads, and a progress bar."""

import glob
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.context import BaseContext
from typing import TypeVar

import cv2
from tqdm import tqdm

Item = TypeVar('Item')
Result = TypeVar('Result')


def may_have_gpus() -> bool:
    """Return whether there may be a GPU, without importing torch."""
    if sys.platform != 'linux':
        return True
    return any(map(glob.glob, ('/dev/nvidia[0-9]*', '/dev/kfd', '/dev/dxg')))


def worker_context(preload: str) -> BaseContext:
    """Return a way to start processes that is safe after torch and OpenCV.

    A forked process inherits the locks of their thread pools but not the
    threads, and may wait for them forever. A server process that never had
    any threads forks the workers instead, with one module imported once.

    Args:
        preload: Module with the function that the workers run.
    """
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([preload])
    return context


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    preload: str,
    chunk: int = 1,
) -> Iterator[Result]:
    """Yield the results of a function, in the order of its items.

    Args:
        function: Function at the top of a module, so that it can be sent.
        items: Arguments of the calls.
        workers: Number of processes, in each of which OpenCV has one thread;
            0 runs the function in this one.
        preload: Module with the function, which is imported once.
        chunk: Number of items per message to a process.
    """
    if not workers:
        yield from map(function, items)
        return
    context = worker_context(preload)
    with context.Pool(workers, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap(function, items, chunksize=chunk)


T = TypeVar('T')
# Seconds between updates: on a terminal, and in files and pipes, where each
# update stays.
LIVELY, SPARING = 0.1, 2.0


class _Bar(tqdm):
    """A bar without tqdm's thread, since processes are forked meanwhile."""

    monitor_interval = 0


def progress_bar(
    name: str,
    total: int | None,
    tasks: Iterable[T] | None = None,
) -> tqdm:
    """Return a progress bar with the time left.

    Args:
        name: Text in front of the bar.
        total: Number of tasks; None if unknown.
        tasks: Tasks to iterate over; None for calls of ``update(count=1)``,
            and ``close()`` at the end.
    """
    return _Bar(
        tasks,
        total=total,
        desc=name,
        file=sys.stderr,
        mininterval=LIVELY if sys.stderr.isatty() else SPARING,
        # Check the clock at each task, as tqdm's thread would for slow ones.
        miniters=1,
        dynamic_ncols=True,
    )
