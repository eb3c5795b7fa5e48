"""Shared fixtures. Tests never import each other; what they share is here."""

import contextlib
import gc
import importlib.util
import io
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from pretend_cuda import Events, pretend_cuda
from yapf.yapflib.yapf_api import FormatCode

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.apps.cli import COMMANDS
from mmseg_weakclip.apps.cli import main as weakclip_main
from mmseg_weakclip.apps.errors import TRACEBACK
from mmseg_weakclip.apps.wsss.launch import stage_server
from mmseg_weakclip.common.workers import may_have_gpus

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MMSEG_WEAKCLIP_DATA', ROOT / '../shared/data'))

# Processes of pytest-xdist share the processors; so do the tools they call.
PROCESSES = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
torch.set_num_threads(max(1, 2 // PROCESSES))
if PROCESSES > 1:
    os.environ.setdefault('OMP_NUM_THREADS', '1')
# Files that take minutes come first, so that no process waits for them.
LONG_FILES = (
    'apps/wsss/test_tool.py',
    'apps/wsss/test_machines.py',
    'configs/test_training.py',
    'configs/test_cuda.py',
    'tools/test_many_machines.py',
    'tools/test_test.py',
    'tools/test_train.py',
    'tests/test_readme.py',
    'benchmarks/test_benchmarks.py',
    'tests/test_package.py',
    'configs/test_inference.py',
)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    items.sort(
        key=lambda item: not any(map(item.path.match, LONG_FILES)),
    )
    if not torch.cuda.is_available():
        left_out = _most_pretended(items)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _most_pretended(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests on a pretended device but the first and last of each function.

    Their values are those of the CPU; a tensor that is left on another device
    is mostly found by any of them. With CUDA, all run.
    """
    groups: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        params = item.callspec.params if hasattr(item, 'callspec') else {}
        if params.get('device') == 'cuda':
            name = f'{item.cls}.{item.originalname}'
            groups.setdefault((item.path, name), []).append(item)
    return [item for group in groups.values() for item in group[1:-1]]


def pytest_collection_finish() -> None:
    # Each data set collects garbage when it is built, which takes most of a
    # second where the collector looks at all that was imported.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(scope='session', autouse=True)
def _plain_configs():
    # Each Runner formats its config four times, for half a second in all.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
        )
        yield


@pytest.fixture(autouse=True)
def _scope_and_seed():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (mmcv transforms draw from it)
    yield
    # Loggers hold the streams of the test that made them.
    MMLogger._instance_dict.clear()


@contextlib.contextmanager
def _use_cuda() -> Iterator[Events | None]:
    """Use CUDA; where there is none, a device that pretends."""
    with contextlib.ExitStack() as stack:
        events = None
        if not torch.cuda.is_available():
            events = stack.enter_context(pretend_cuda())
        yield events


@pytest.fixture(params=['cpu', 'cuda'])
def device(request) -> Iterator[torch.device]:
    """The CPU, then CUDA: where there is none, a device that pretends."""
    with contextlib.ExitStack() as stack:
        if request.param == 'cuda':
            stack.enter_context(_use_cuda())
        yield torch.device(request.param)


@pytest.fixture
def cuda() -> Iterator[Events | None]:
    """CUDA, and what happens on it where it is pretended."""
    with _use_cuda() as events:
        yield events


@pytest.fixture(scope='session')
def repo() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def load_tool(repo) -> Callable[[str], ModuleType]:
    """Import a script by its path below tools/, or the command it calls."""

    def load(name: str) -> ModuleType:
        text = (repo / 'tools' / name).read_text()
        if command := re.search(r"main\(\['([\w-]+)'", text):
            place = COMMANDS[command[1]][0]
            return importlib.import_module(f'mmseg_weakclip.apps.{place}')
        spec = importlib.util.spec_from_file_location(
            f'tool_{Path(name).stem}', repo / 'tools' / name
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope='session')
def run_here() -> Callable[[str], None]:
    """Run a script in this process, with ``sys.argv`` as it is.

    Errors come as they are raised, not as the line that a user gets.
    """

    def run(path: str) -> None:
        try:
            with patch.dict(os.environ, {TRACEBACK: '1'}):
                runpy.run_path(path, run_name='__main__')
        except SystemExit as end:
            if end.code:
                raise

    return run


@pytest.fixture(scope='session')
def command_server() -> Iterator[stage_server.StageServer | None]:
    """The server that forks the stages of a run, one for all tests.

    None where the package does not fork either.
    """
    with stage_server.start_server(gpus=0) as server:
        yield server


@pytest.fixture(scope='session')
def weakclip_run(command_server) -> Callable[..., tuple[int, str, str]]:
    """Call ``weakclip run`` here, its stages in forks of the shared server.

    Nothing waits for the imports of a new interpreter. Returns the exit code,
    and what was printed on stdout and stderr.
    """

    def start_server(gpus: int | None):
        on_cpu = gpus == 0 or gpus is None and not may_have_gpus()
        return contextlib.nullcontext(command_server if on_cpu else None)

    def run(*words, cwd: Path = ROOT) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(cwd)
            patch.setattr(stage_server, 'start_server', start_server)
            # The configs of a run are formatted wherever it runs.
            patch.setattr('yapf.yapflib.yapf_api.FormatCode', FormatCode)
            code = weakclip_main(['run', *map(str, words)])
        return code, out.getvalue(), err.getvalue()

    return run


@pytest.fixture(scope='session')
def weakclip_fork(command_server) -> Callable[..., tuple[int, str]]:
    """Run any other command of ``weakclip`` in a fork of the shared server.

    Returns the exit code and all that was printed.
    """

    def run(*words, cwd: Path = ROOT) -> tuple[int, str]:
        words = list(map(str, words))
        with (
            pytest.MonkeyPatch.context() as patch,
            tempfile.TemporaryFile() as file,
        ):
            patch.chdir(cwd)
            if command_server is None:
                code = subprocess.call(
                    [sys.executable, '-m', 'mmseg_weakclip', *words],
                    env=stage_server.package_environment({}),
                    stdout=file,
                    stderr=file,
                )
            else:
                command_server.start(words, file.fileno())
                code = command_server.wait().code
            file.seek(0)
            return code, file.read().decode()

    return run


@pytest.fixture(scope='session')
def weakclip_twice() -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a command of ``weakclip`` in two processes, as torchrun would.

    Each process is a fork of a server that has the imports. Returns the exit
    code of the first that failed, or 0, and all that was printed.
    """
    if sys.platform != 'linux':
        pytest.skip('processes are forked on Linux only')
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                stage_server.StageServer(
                    dict(
                        RANK=str(rank),
                        LOCAL_RANK=str(rank),
                        WORLD_SIZE='2',
                        LOCAL_WORLD_SIZE='2',
                        MASTER_ADDR='127.0.0.1',
                        MASTER_PORT=str(port),
                        OMP_NUM_THREADS='1',
                        CUDA_VISIBLE_DEVICES='',
                    )
                )
            )
            for rank in range(2)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(2))

        def run(*words, cwd: Path) -> tuple[int, str]:
            with (
                pytest.MonkeyPatch.context() as patch,
                tempfile.TemporaryFile() as file,
            ):
                patch.chdir(cwd)
                groups = [
                    server.start(list(map(str, words)), file.fileno())
                    for server in servers
                ]
                code = 0
                waits = [pool.submit(server.wait) for server in servers]
                for ended in as_completed(waits):
                    if ended.result().code and not code:
                        code = ended.result().code
                        # The other one would wait for it.
                        for group in groups:
                            with contextlib.suppress(ProcessLookupError):
                                os.killpg(group, signal.SIGKILL)
                file.seek(0)
                return code, file.read().decode()

        yield run


@pytest.fixture(scope='session')
def voc_root() -> Path:
    """A folder with a few real VOC images, in VOC layout."""
    root = DATA / 'VOC2012'
    if not root.is_dir():
        pytest.skip(f'no real images at {root}')
    return root


@pytest.fixture(scope='session')
def coco_root() -> Path:
    """A folder with a few real COCO images and contiguous masks."""
    root = DATA / 'COCO_mini'
    if not root.is_dir():
        pytest.skip(f'no real images at {root}')
    return root


@pytest.fixture(scope='session')
def animals_root() -> Path:
    """A folder with VOC's photos of six classes, in VOC layout."""
    root = DATA / 'VOC_animals'
    if not root.is_dir():
        pytest.skip(f'no real images at {root}')
    return root
