"""Shared fixtures. Tests never import each other; what they share is here."""

import importlib.util
import os
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.apps.cli import COMMANDS, TRACEBACK

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MMSEG_WEAKCLIP_DATA', ROOT / '../shared/data'))

DEVICES = ['cpu', *['cuda'] * torch.cuda.is_available()]

# Processes of pytest-xdist share the processors; so do the tools they call.
PROCESSES = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', 1))
torch.set_num_threads(max(1, 2 // PROCESSES))
if PROCESSES > 1:
    os.environ.setdefault('OMP_NUM_THREADS', '1')
# Files that take minutes come first, so that no process waits for them.
LONG_FILES = (
    'apps/wsss/test_tool.py',
    'configs/test_training.py',
    'tools/test_test.py',
    'tools/test_train.py',
    'tests/test_readme.py',
    'benchmarks/test_benchmarks.py',
    'tests/test_package.py',
    'configs/test_inference.py',
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: not any(map(item.path.match, LONG_FILES)),
    )


@pytest.fixture(autouse=True)
def _scope_and_seed():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (mmcv transforms draw from it)
    yield
    # Loggers hold the streams of the test that made them.
    MMLogger._instance_dict.clear()


@pytest.fixture(params=DEVICES)
def device(request) -> torch.device:
    """Each device that there is."""
    return torch.device(request.param)


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
