"""The benchmarks run, at a size that says nothing."""

import importlib.util
import os
import runpy
import subprocess
import sys

import cv2
import pytest
import torch
from mmengine.logging import MessageHub
from PIL import Image

from mmseg_weakclip.models.excel import pseudo_labels

FEW = ('--repeats', '1', '--threads', '1')
INFERENCE = ('--side', '96', '--scales', '1', '--zero-shot-side', '96')


def check_table(printed, rows):
    table = [line for line in printed.splitlines() if line[:1] == '|']
    assert len(table) == 2 + rows
    assert len({line.count('|') for line in table}) == 1


@pytest.fixture
def as_it_was(repo, monkeypatch):
    """Undo what a benchmark changes in its process."""
    monkeypatch.syspath_prepend(repo / 'benchmarks')
    # Replaced by ExCEL's.
    shift = pseudo_labels.shift_dense_stream
    monkeypatch.setattr(pseudo_labels, 'shift_dense_stream', shift)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    sys.modules.pop('common', None)
    MessageHub._instance_dict.clear()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'options', 'rows'),
    [
        ('clims_step', ('--crop', '64', '--batch', '1'), 1),
        ('excel_step', ('--crop', '64', '--batch', '2'), 4),
        ('inference', INFERENCE, 4),
    ],
)
def test_prints_its_table(
    repo, as_it_was, monkeypatch, capsys, name, options, rows
):
    path = str(repo / f'benchmarks/{name}.py')
    monkeypatch.setattr(sys, 'argv', [path, *options, *FEW])
    runpy.run_path(path, run_name='__main__')
    check_table(capsys.readouterr().out, rows)


def test_leading_parts(repo, as_it_was, capsys):
    parts = runpy.run_path(str(repo / 'benchmarks/leading_parts.py'))
    ways = parts['operations'](1, 48, 'cpu')
    parts['print_table']('maps', ways, 1, parts['Clock']('cpu'))
    check_table(capsys.readouterr().out, len(ways))
    paths = parts['dense_paths'](1, 48, 'cpu', 'toyclip')
    few = {name: paths[name] for name in ('plain CLIP', '`naclip`')}
    parts['print_table']('dense paths', few, 1, parts['Clock']('cpu'))
    check_table(capsys.readouterr().out, 2)
    for path in parts['STEPS'].values():
        assert (repo / f'configs/{path}.py').is_file()


def test_loaders(repo, as_it_was, monkeypatch, capsys):
    threads = cv2.getNumThreads()
    path = str(repo / 'benchmarks/loaders.py')
    words = ('--images', '1', '--rounds', '1')
    monkeypatch.setattr(sys, 'argv', [path, *words])
    runpy.run_path(path, run_name='__main__')
    check_table(capsys.readouterr().out, 7)
    cv2.setNumThreads(threads)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'options', 'rows'),
    [
        ('segclip_step', ('--model', 'toyclip', '--batch', '2'), 5),
        ('training_step', ('--precisions', 'fp32'), 1),
    ],
)
def test_prints_its_table_from_processes(repo, name, options, rows):
    """Measured in processes of its own, which import the script again."""
    path = str(repo / f'benchmarks/{name}.py')
    done = subprocess.run(
        [sys.executable, path, '--crop', '64', *options, *FEW],
        env={**os.environ, 'PYTHONPATH': str(repo)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_table(done.stdout, rows)


@pytest.fixture
def interrupted_run(repo):
    path = repo / 'benchmarks/interrupted_run.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    'name', ['a.png', 'b.json', 'c.py', 'd.pth', 'e/f.json']
)
def test_half_written_files_are_found(interrupted_run, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    match path.suffix:
        case '.png':
            Image.new('L', (90, 90)).save(path)
        case '.json':
            path.write_text('{"a": [1, 2]}')
        case '.py':
            path.write_text('a = dict(of_some_length=1)')
        case '.pth':
            torch.save({'a': torch.zeros(99)}, path)
    (tmp_path / '.c.py.x1').write_text('a = dict(')
    assert interrupted_run.damaged_files(tmp_path) == []
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    (found,) = interrupted_run.damaged_files(tmp_path)
    assert found.startswith(f'{path}: ')


def test_only_finished_runs_are_repeated(interrupted_run, tmp_path):
    with pytest.raises(SystemExit, match='holds no run'):
        interrupted_run.seconds_of(tmp_path)
