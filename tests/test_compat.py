"""The placeholder of mmcv's compiled operators."""

import inspect
import subprocess
import sys

import pytest

from mmseg_weakclip._compat import EXTENSION, install_placeholder


@pytest.fixture
def placeholder(monkeypatch):
    monkeypatch.setattr('mmseg_weakclip._compat.find_spec', lambda name: None)
    # Put back what was there, if anything was.
    monkeypatch.setitem(sys.modules, EXTENSION, None)
    del sys.modules[EXTENSION]
    install_placeholder()
    return sys.modules[EXTENSION]


def test_operators_say_what_they_need(placeholder):
    with pytest.raises(RuntimeError, match='nms needs .* the full mmcv'):
        placeholder.nms(1, 2)


def test_python_takes_it_for_a_module_without_a_file(placeholder):
    assert not hasattr(placeholder, '__file__')
    # Walks over all modules and asks each for its file.
    assert inspect.getmodule(inspect.currentframe()) is sys.modules[__name__]


def test_what_is_there_stays(placeholder):
    install_placeholder()
    assert sys.modules[EXTENSION] is placeholder


def test_importing_prints_nothing(repo):
    done = subprocess.run(
        [sys.executable, '-c', 'import mmseg_weakclip'],
        cwd=repo, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ''
