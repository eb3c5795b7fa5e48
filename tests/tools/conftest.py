"""A tiny toyland, and the tools run on it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.writer import write_toyland

TRAIN_SCENES, VAL_SCENES = 8, 5
IN_PROCESS = ('num_workers=0', 'persistent_workers=False')
OPTIONS = {
    'train': (
        *(f'train_dataloader.{option}' for option in IN_PROCESS),
        *(f'val_dataloader.{option}' for option in IN_PROCESS),
        'train_dataloader.batch_size=4',
        'default_hooks.logger.interval=1',
    ),
    'test': tuple(f'test_dataloader.{option}' for option in IN_PROCESS),
}
OPTIONS['sweep_threshold'] = OPTIONS['test']


@pytest.fixture(scope='session')
def world(tmp_path_factory) -> Path:
    """A folder to work in; the truth of its data/toyland is its seeds."""
    folder = tmp_path_factory.mktemp('world')
    root = folder / 'data/toyland'
    root.parent.mkdir()
    write_toyland(root, TRAIN_SCENES, VAL_SCENES, workers=1)
    shutil.copytree(root / 'SegmentationClass', root / 'seeds/masks')
    return folder


@pytest.fixture(scope='session')
def tool_command(repo):
    """``sys.argv`` of a tool, with the options of small machines."""

    def build(name, config, *arguments, options=()) -> list[str]:
        # A config of the repository by its name, another by its path.
        return [
            str(repo / f'tools/{name}.py'),
            str(repo / 'configs/toyland' / config),
            *map(str, arguments),
            '--cfg-options',
            *OPTIONS[name],
            *options,
        ]

    return build


@pytest.fixture(scope='session')
def run_tool(world, tool_command, run_here):
    """Run a tool in this process; returns its Runner."""
    runs = itertools.count()

    def run(*args, options=(), **kwargs) -> Runner:
        # Runners of one name share a message hub, visualizers of one name a
        # folder; in a process of its own each run has both to itself.
        name = f'run{next(runs)}'
        names = f'experiment_name={name}', f'visualizer.name={name}'
        options = (*options, *names)
        command = tool_command(*args, options=options, **kwargs)
        runners, from_cfg = [], Runner.from_cfg.__func__

        def keep(cls, cfg) -> Runner:
            runners.append(from_cfg(cls, cfg))
            return runners[-1]

        threads = torch.get_num_threads()
        # Sums depend on it; processes of their own have one thread, too.
        torch.set_num_threads(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(world)
            patch.setenv('LOCAL_RANK', '0')
            patch.setattr(sys, 'argv', command)
            patch.setattr(Runner, 'from_cfg', classmethod(keep))
            # On CPUs all runs are the same to the last bit.
            patch.setattr(torch.cuda, 'is_available', lambda: False)
            patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
            try:
                run_here(command[0])
            finally:
                torch.set_num_threads(threads)
        return runners[0]

    return run


@pytest.fixture(scope='session')
def run_script(repo, world, tool_command):
    """Run a tool in a process, or several, of its own."""

    def run(*args, processes=0, env=None, **kwargs):
        launcher = ['-m', 'torch.distributed.run', '--standalone']
        launcher += ['--nproc-per-node', str(processes)]
        return subprocess.run(
            [
                sys.executable,
                *(launcher if processes else ()),
                *tool_command(*args, **kwargs),
            ],
            cwd=world,
            env={
                **os.environ,
                'PYTHONPATH': str(repo),
                'OMP_NUM_THREADS': '1',
                'CUDA_VISIBLE_DEVICES': '',
                **(env or {}),
            },
            # A tool that kills its group must not take the tests with it.
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope='session')
def run_twice(world, tool_command, weakclip_twice):
    """Run a tool in two processes that have the imports already."""

    def run(name, *args, **kwargs) -> None:
        _, *words = tool_command(name, *args, **kwargs)
        code, printed = weakclip_twice(name, *words, cwd=world)
        assert code == 0, printed

    return run


@pytest.fixture(scope='session')
def read_scores():
    """The scores that a test run left in its work_dir."""

    def read(work_dir) -> dict[str, float]:
        (path,) = Path(work_dir).glob('*/*.json')
        scores = json.loads(path.read_text())
        return {k: v for k, v in scores.items() if 'time' not in k}

    return read


@pytest.fixture(scope='session')
def six_iterations() -> tuple[str, ...]:
    """Options of a training with a checkpoint and a validation half-way."""
    return (
        'train_cfg.max_iters=6',
        'train_cfg.val_interval=3',
        'default_hooks.checkpoint.interval=3',
    )


@pytest.fixture(scope='session')
def trained(run_tool, six_iterations, tmp_path_factory) -> Runner:
    """The end of a training of six iterations."""
    work_dir = tmp_path_factory.mktemp('trained')
    return run_tool(
        'train',
        'weakclip.py',
        '--work-dir',
        work_dir,
        options=six_iterations,
    )


@pytest.fixture(scope='session')
def checkpoint(trained) -> Path:
    """What ``trained`` wrote at its end."""
    return Path(trained.work_dir) / 'iter_6.pth'


@pytest.fixture
def run_demo(repo, tmp_path, monkeypatch, run_here):
    """Run tools/demo.py in this process; returns its folder of results."""

    def run(*arguments) -> Path:
        tool, out = str(repo / 'tools/demo.py'), tmp_path / 'out'
        device = ('--device', 'cpu')
        # An argument that is there twice counts as it was given last.
        monkeypatch.setattr(
            sys,
            'argv',
            [tool, *device, '--out', str(out), *map(str, arguments)],
        )
        run_here(tool)
        return out

    return run


@pytest.fixture
def refused_demo(run_demo, capsys):
    """Run tools/demo.py on something wrong; returns what it says."""

    def run(*arguments) -> str:
        with pytest.raises(SystemExit) as error:
            run_demo(*arguments)
        assert error.value.code == 2
        captured = capsys.readouterr().err
        (line,) = [
            li for li in captured.splitlines() if 'weakclip demo:' in li
        ]
        assert captured.endswith(f'{line}\n')
        return line

    return run


@pytest.fixture(scope='session')
def by_names() -> tuple[str, ...]:
    """The way without a training, on the CLIP of toyland."""
    return (
        *('--classes', ', '.join(CLASSES)),
        *('--model', 'toyclip', '--pretrained', 'toyland'),
        *('--short-side', '96', '--templates', 'a photo of a {}.'),
    )
