"""A server process that imports the package once, and forks the stages.

Importing torch, mmseg and open_clip takes five seconds, which each stage would
pay again. On Linux one process pays once, while the data are being checked;
a stage is a fork of it, as fresh as a new interpreter that has just imported
the package: nothing has been computed in the server, and it has no threads.

Requests are JSON over a socket, with the file that a stage prints to; the
server answers with the process id, and at the end with its status and memory.
"""

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmseg_weakclip.apps.errors import TRACEBACK
from mmseg_weakclip.common.workers import may_have_gpus

PACKAGE_PARENT = Path(__file__).resolve().parents[3]
LIMIT = 1 << 20
# Linux: option of prctl that sets a signal for the death of the parent.
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    if sys.platform == 'linux':
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def package_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a stage, with the package on its path.

    Args:
        settings: Environment variables to add.
    """
    # Logs keep where an error was raised.
    own = {'PYTHONUNBUFFERED': '1', TRACEBACK: '1'}
    environment = {**os.environ, **own, **settings}
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, (str(PACKAGE_PARENT), environment.get('PYTHONPATH')))
    )
    return environment


@dataclass(frozen=True)
class Ended:
    """Exit code and memory of a stage's process.

    Attributes:
        code: Exit code; -N for a process that was killed by signal N.
        max_rss: Peak memory of the largest process, in units of
            ``ru_maxrss``.
    """

    code: int
    max_rss: int


class StageServer:
    """The main process's handle on the server.

    Args:
        settings: Environment variables of the server.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, '-m', __name__, str(theirs.fileno())],
                env=package_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def start(
        self, words: Sequence[str], output: int, keep_open: Sequence[int] = ()
    ) -> int:
        """Start a command of ``weakclip``.

        Args:
            words: Words of the command line after ``weakclip``.
            output: File descriptor for the command's output.
            keep_open: File descriptors that the command keeps open.

        Returns:
            Process id of the command, which is also that of its group.
        """
        request = json.dumps(dict(words=list(words), cwd=os.getcwd()))
        descriptors = [output, *keep_open]
        socket.send_fds(self._socket, [request.encode()], descriptors)
        return int(self._receive()['pid'])

    def wait(self) -> Ended:
        """Wait for the end of the command that was started."""
        return Ended(**self._receive())

    def _receive(self) -> dict[str, int]:
        answer = self._socket.recv(LIMIT)
        if not answer:
            return dict(code=-signal.SIGKILL, max_rss=0, pid=0)
        return json.loads(answer)

    def __enter__(self) -> 'StageServer':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and its running command."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


@contextlib.contextmanager
def start_server(gpus: int | None) -> Iterator[StageServer | None]:
    """Start a server for the stages of a run, where that is safe.

    A process must not be forked after CUDA is used, nor on Macs after most
    libraries are loaded.

    Args:
        gpus: Number of GPUs that the user asks for; None takes one where
            there is one.

    Yields:
        The server, or None where forking is not safe.
    """
    on_cpu = gpus == 0 or gpus is None and not may_have_gpus()
    if not on_cpu or sys.platform != 'linux':
        yield None
        return
    with StageServer({'CUDA_VISIBLE_DEVICES': ''}) as server:
        yield server


def serve(channel: socket.socket) -> None:
    """Import the package, then fork a process for each request."""
    import mmseg.engine
    import mmseg.visualization  # noqa: F401

    import mmseg_weakclip.parts  # noqa: F401

    # Memory is shared with the forks until something, such as their garbage
    # collectors, writes to it.
    gc.collect()
    gc.freeze()
    # Its processes end without the interpreter's cleanup.
    context = multiprocessing.get_context('fork')
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, LIMIT, 8)
        if not request:
            return
        output = descriptors[0]
        process = context.Process(
            target=_run, args=(json.loads(request), output, channel)
        )
        process.start()
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(json.dumps(dict(pid=process.pid)).encode())
        # Not join(), which does not return the memory.
        _, status, usage = os.wait4(process.pid or 0, 0)
        code = os.waitstatus_to_exitcode(status)
        answer = dict(code=code, max_rss=usage.ru_maxrss)
        channel.send(json.dumps(answer).encode())


def _run(
    request: dict[str, Any], output: int, channel: socket.socket
) -> NoReturn:
    """Run a command in the forked process, and exit."""
    channel.close()
    os.setsid()
    die_with_parent()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(request['cwd'])
    sys.argv = ['weakclip', *request['words']]
    from mmseg_weakclip.apps.cli import main

    sys.exit(main(request['words']))


if __name__ == '__main__':
    die_with_parent()
    with socket.socket(fileno=int(sys.argv[1])) as own:
        serve(own)
