"""Worker processes that inherit no threads."""

import multiprocessing
from multiprocessing.context import BaseContext


def worker_context(preload: str) -> BaseContext:
    """A way to start processes that is safe after torch and OpenCV.

    A forked process inherits the locks of their thread pools but not the
    threads, and may wait for them forever. A server process that never had
    any threads forks the workers instead, with one module imported once.

    Args:
        preload: Module that holds what the workers run.
    """
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([preload])
    return context
