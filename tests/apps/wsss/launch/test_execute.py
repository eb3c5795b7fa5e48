import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mmseg_weakclip.apps.errors import StageFailed
from mmseg_weakclip.apps.wsss.launch import execute
from mmseg_weakclip.apps.wsss.launch.execute import (
    Launcher,
    ProgressLine,
    capture,
    describe_progress,
    error_summary,
    run_tool,
)
from mmseg_weakclip.apps.wsss.launch.stage_server import StageServer
from mmseg_weakclip.common.files import lock_folder
from mmseg_weakclip.version import __version__

TRAIN = (
    '11/21 23:46:59 - mmengine - INFO - Iter(train) [ 50/600]  base_lr: '
    '2.2e-03 lr: 2.2e-03  eta: 1 day, 0:10:44  time: 1.2  memory: 1234  '
    'grad_norm: 4.2  loss: 3.5709  decode.loss_ce: 2.7'
)


@pytest.mark.parametrize(
    ('line', 'note'),
    [
        (TRAIN, '50/600, 1 day, 0:10:44 left, loss 3.5709'),
        (
            'Iter(test) [ 50/300]    eta: 0:00:12  time: 0.1',
            '50/300, 0:00:12 left',
        ),
        (
            'Iter(val) [10/30]  eta: 0:00:02  ',
            'validation 10/30, 0:00:02 left',
        ),
        (
            'Epoch(train) [3][10/30] eta: 0:00:02 loss: nan',
            '10/30, 0:00:02 left, loss nan',
        ),
        ('  4%|#   | 12/300 [00:02<01:15,  5.30it/s]', '12/300, 01:15 left'),
        ('  1%|    | 3/300 [00:02<09:15,  5.30it/s]', '3/300'),
        ('  0%|    | 0/300 [00:00<?, ?it/s]', None),
        ('Config: x = 3/4', None),
    ],
)
def test_progress(line, note):
    assert describe_progress(line) == note


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_is_never_left_in_silence():
    screen = Terminal()
    line = ProgressLine('make seeds', screen)
    line.show('')
    assert 'make seeds: at work, for 0 s' in screen.getvalue()
    line.show('Iter(test) [ 50/300]    eta: 0:00:12  time: 0.1')
    line.show('')
    assert screen.getvalue().rstrip().endswith('50/300, 0:00:12 left, for 0 s')


def test_a_file_has_a_line_now_and_then():
    file = io.StringIO()
    line = ProgressLine('make seeds', file)
    line.show('')
    assert file.getvalue() == ''
    for number in (50, 100):
        line.show(f'Iter(test) [{number}/300]    eta: 0:00:12  time: 0.1')
    assert file.getvalue() == 'make seeds: 50/300, 0:00:12 left\n'
    line._written -= 31
    line.show('')
    assert '100/300, 0:00:12 left, for' in file.getvalue()


def test_silence_is_noticed(tmp_path, monkeypatch):
    """While a command prints nothing, the line is written anyway."""
    monkeypatch.setattr(execute, 'TICK', 0.05)
    screen = Terminal()
    monkeypatch.setattr(sys, 'stdout', screen)
    code = 'import time; time.sleep(0.5); print("done")'
    run_tool(Launcher(), python(code), tmp_path / 'x.log', 'x')
    assert screen.getvalue().count('x: at work') > 2
    assert (tmp_path / 'x.log').read_text() == 'done\n'


def python(code):
    return [sys.executable, '-c', code]


def test_output_is_kept_and_memory_told(tmp_path):
    code = (
        'import sys\nx = bytearray(300 << 20)\nprint("one")\n'
        'sys.stderr.write("\\r1/2\\r2/2\\ntwo\\n")\n'
        'print(sys.stdin.read() == "", "Zoë")'
    )
    log = tmp_path / 'logs/x.log'
    usage = run_tool(Launcher(), python(code), log, 'x')
    assert usage.peak_memory_gib > 0.29
    assert usage.peak_gpu_gib is None
    assert log.read_text().split('\n') == [
        'one', '2/2', 'two', 'True Zoë', ''
    ]  # fmt: skip
    run_tool(Launcher(), python('print("again")'), log, 'x')
    assert log.read_text().endswith('True Zoë\nagain\n')


def test_failure_has_its_error_summary(tmp_path):
    code = 'raise ValueError("the file x is damaged")'
    with pytest.raises(StageFailed, match='x failed: ValueError: the file x'):
        run_tool(Launcher(), python(code), tmp_path / 'x.log', 'x')


def test_error_summary():
    assert error_summary(['a', 'torch.OutOfMemoryError: CUDA', 'b'], 1) == (
        'torch.OutOfMemoryError: CUDA'
    )
    assert error_summary(['a', ' b ', ''], 1) == 'b'
    assert error_summary([], 3) == 'exit code 3'
    assert error_summary(['a'], -9) == 'killed by SIGKILL'


@pytest.fixture
def interrupts():
    """Ctrl-C counts, also where a shell started the tests with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_stops_the_tool_and_its_children(tmp_path, interrupts):
    code = (
        'import subprocess, sys, time\n'
        'child = subprocess.Popen([sys.executable, "-c", '
        '"import time; time.sleep(60)"])\n'
        'print(child.pid, flush=True)\ntime.sleep(60)'
    )
    log = tmp_path / 'x.log'

    def interrupt():
        while not (log.is_file() and log.read_text().endswith('\n')):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_tool(Launcher(), python(code), log, 'x')
    child = int(log.read_text())
    assert is_gone(child)


def is_gone(pid):
    """Whether a process ends within seconds; zombies have ended."""
    for _ in range(100):
        try:
            with open(f'/proc/{pid}/stat') as file:
                if file.read().rsplit(')', 1)[1].split()[0] == 'Z':
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux only')
def test_a_killed_run_leaves_no_tool_behind(tmp_path, repo):
    log = tmp_path / 'x.log'
    tool = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
    code = (
        'from pathlib import Path\n'
        'from mmseg_weakclip.apps.wsss.launch import execute\n'
        'from mmseg_weakclip.apps.wsss.launch.execute import Launcher\n'
        f'execute.run_tool(Launcher(), [{sys.executable!r}, "-c", {tool!r}], '
        f'Path({str(log)!r}), "x")'
    )
    with subprocess.Popen(python(code), cwd=repo) as run:
        while not (log.is_file() and log.read_text().endswith('\n')):
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    assert is_gone(int(log.read_text()))


def lock_at_once(folder):
    with lock_folder(folder, patience=0):
        pass


def test_one_run_in_a_folder(tmp_path):
    with lock_folder(tmp_path) as lock:
        with pytest.raises(BlockingIOError):
            lock_at_once(tmp_path)
        # A tool of a killed run still holds it.
        child = subprocess.Popen(
            python('import time; time.sleep(60)'), pass_fds=[lock]
        )
    try:
        with pytest.raises(BlockingIOError):
            lock_at_once(tmp_path)
    finally:
        child.kill()
        child.wait()
    lock_at_once(tmp_path)


@pytest.fixture
def launcher():
    """Start commands of weakclip as forks of a server."""
    with StageServer({'CUDA_VISIBLE_DEVICES': ''}) as server:
        yield Launcher(server=server)


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux only')
def test_commands_are_forked(launcher, tmp_path, capsys):
    """Output, exit codes and errors are those of an interpreter."""
    weakclip = [sys.executable, '-m', 'mmseg_weakclip']
    code, line = capture(launcher, [*weakclip, '--version'])
    assert (code, line) == (0, f'mmseg_weakclip {__version__}')
    code, line = capture(launcher, [*weakclip, 'nonsense'])
    assert code == 2
    assert "unknown command 'nonsense'" in line
    code, line = capture(launcher, [*weakclip, 'test'])
    assert code == 2
    assert 'arguments are required: config' in line
    log = tmp_path / 'x.log'
    with pytest.raises(StageFailed, match='FileNotFoundError: .*absent.py'):
        run_tool(launcher, [*weakclip, 'train', 'absent.py'], log, 'x')
    assert 'Traceback' in log.read_text()
    # Other commands have an interpreter of their own.
    assert capture(launcher, python('print(1 + 1)')) == (0, '2')


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux only')
def test_a_stage_ends_with_its_server(tmp_path):
    server = StageServer({})
    read, write = os.pipe()
    # Waits for what never comes.
    fifo = tmp_path / 'config.py'
    os.mkfifo(fifo)
    pid = server.start(['train', str(fifo)], write)
    os.close(write)
    os.close(read)
    server.close()
    assert is_gone(pid)
