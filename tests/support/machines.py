"""Machines that are this one: a command for each, all at once."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 600


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        return free.getsockname()[1]


def run_together(
    calls: Sequence[tuple[list[str], dict[str, str]]],
    logs: Path,
    cwd: Path | None = None,
) -> tuple[list[int], str]:
    """Run a command for each machine, and wait for all.

    Args:
        calls: Words, and what they have in their environment besides ours.
        logs: Folder of what they print.
        cwd: Folder in which they run; None for this one.

    Returns:
        Their exit codes, and what all of them printed.
    """
    paths = [logs / f'machine{rank}.log' for rank in range(len(calls))]
    running = []
    try:
        for (words, environment), path in zip(calls, paths):
            with path.open('w') as log:
                running.append(
                    subprocess.Popen(
                        words,
                        cwd=cwd,
                        env={**os.environ, 'OMP_NUM_THREADS': '1',
                             **environment},
                        start_new_session=True,
                        stdout=log,
                        stderr=log,
                    )
                )  # fmt: skip
        codes = [process.wait(timeout=PATIENCE) for process in running]
    finally:
        for process in running:
            # With all that it has started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return codes, ''.join(path.read_text() for path in paths)
