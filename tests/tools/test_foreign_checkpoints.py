"""Every command that loads a checkpoint, given one that carries code."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from mmseg_weakclip.apps.cli import main

ONE = ('train_cfg.max_iters=1',)


class Attack:
    """A pickle that makes a folder when it is loaded by all of pickle."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def trace(tmp_path):
    """A folder that only code from a checkpoint makes."""
    folder = tmp_path / 'attacked'
    yield folder
    assert not folder.exists()


@pytest.fixture
def attack(tmp_path, trace, checkpoint) -> Path:
    """A checkpoint of a training that makes the folder besides."""
    path = tmp_path / 'theirs.pth'
    content = torch.load(checkpoint, weights_only=False)
    content['meta']['hook'] = Attack(trace)
    torch.save(content, path)
    return path


REFUSED = r'theirs\.pth cannot be read: it holds an object of .*mkdir'


def test_test(attack, tmp_path, run_tool):
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('test', 'weakclip.py', attack, '--work-dir', tmp_path / 'w')


def test_load_from_of_a_test(attack, tmp_path, run_tool):
    options = (f'load_from={attack}',)
    rest = ('--work-dir', tmp_path / 'w')
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('test', 'weakclip.py', *rest, options=options)


def test_load_from_of_a_training(attack, tmp_path, run_tool):
    options = (*ONE, f'load_from={attack}')
    rest = ('--work-dir', tmp_path / 'w')
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('train', 'weakclip.py', *rest, options=options)


@pytest.mark.parametrize('recorded', [True, False])
def test_resume(attack, recorded, tmp_path, run_tool):
    work_dir = tmp_path / 'w'
    work_dir.mkdir()
    shutil.copy(attack, work_dir / 'iter_1_theirs.pth')
    if recorded:
        record = str(work_dir / 'iter_1_theirs.pth')
        (work_dir / 'last_checkpoint').write_text(record)
    rest = ('--work-dir', work_dir, '--resume')
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('train', 'weakclip.py', *rest, options=ONE)


def test_initial_weights(attack, tmp_path, run_tool):
    key = 'model.decode_head.init_cfg'
    options = (*ONE, f'{key}.type=Pretrained', f'{key}.checkpoint={attack}')
    rest = ('--work-dir', tmp_path / 'w')
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('train', 'weakclip.py', *rest, options=options)


def test_a_config_in_the_checkpoint_is_not_run(
    trace, checkpoint, tmp_path, run_tool
):
    """mmengine runs the text of a config there when it resumes."""
    work_dir = tmp_path / 'w'
    work_dir.mkdir()
    content = torch.load(checkpoint, weights_only=False)
    content['meta']['config'] = f'import os\nos.mkdir({str(trace)!r})\n'
    torch.save(content, work_dir / 'iter_6.pth')
    rest = ('--work-dir', work_dir, '--resume')
    options = ('train_cfg.max_iters=7',)
    runner = run_tool('train', 'weakclip.py', *rest, options=options)
    assert runner.iter == 7


def test_demo(attack, world, repo, refused_demo, tmp_path):
    (picture,) = list((world / 'data/toyland/JPEGImages').iterdir())[:1]
    config = repo / 'configs/toyland/weakclip.py'
    said = refused_demo(picture, '--config', config, '--checkpoint', attack)
    assert 'theirs.pth cannot be read: it holds an object of' in said


def test_export(attack, repo, tmp_path, capsys):
    config = str(repo / 'configs/toyland/weakclip.py')
    words = ['--format', 'onnx', '--output', 'mask']
    assert main(['export', config, str(attack), *words]) == 2
    said = capsys.readouterr().err
    assert 'theirs.pth cannot be read: it holds an object of' in said


def test_weights(attack, tmp_path, capsys):
    config = tmp_path / 'own.py'
    config.write_text(f'model = dict(pretrained={str(attack)!r})')
    assert main(['weights', str(config)]) == 2
    said = capsys.readouterr().err
    assert 'theirs.pth cannot be read: it holds an object of' in said


def test_weights_of_configs_by_name_and_those_that_inherit(tmp_path, capsys):
    own = tmp_path / 'own.py'
    own.write_text("_base_ = 'mmseg_weakclip::toyland/seeds.py'")
    assert main(['weights', 'toyland/seeds', str(own)]) == 0
    assert main(['weights', 'toyland/nothing']) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: cannot find the config toyland/nothing')
