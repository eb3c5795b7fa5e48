import importlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from mmengine.registry import Registry

from mmseg_weakclip.apps import cli
from mmseg_weakclip.apps.errors import TRACEBACK, UserError, mistake_of
from mmseg_weakclip.apps.wsss.plan import format_size
from mmseg_weakclip.datasets.weak import WeakSegDataset
from mmseg_weakclip.engine.loading import require_checkpoint
from mmseg_weakclip.models.clims.critic import normalize_images
from mmseg_weakclip.pseudo_masks import region_generators


def caught(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Exception as error:
        return error
    raise AssertionError('no error')


def test_errors_of_this_package_are_mistakes():
    error = caught(require_checkpoint, 'gone.pth')
    assert mistake_of(error) == 'the checkpoint gone.pth does not exist'


def test_whatever_wraps_them():
    registry = Registry('things')
    registry.register_module(module=WeakSegDataset)
    error = caught(registry.build, dict(type='WeakSegDataset', pipeline=[]))
    assert mistake_of(error).startswith('WeakSegDataset does not know its cla')

    def wrap():
        try:
            require_checkpoint('gone.pth')
        except OSError as error:
            raise KeyError('somewhere else') from error

    assert mistake_of(caught(wrap)) == 'the checkpoint gone.pth does not exist'


def channels_of(_):
    normalize_images(torch.zeros(1, 4, 2, 2), 'clip')


class Failing(torch.utils.data.Dataset):
    def __init__(self, function):
        self.function = function

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.function('gone.pth')


@pytest.mark.parametrize(
    ('function', 'message'),
    [
        (require_checkpoint, 'the checkpoint gone.pth does not exist'),
        (int, None),
        (channels_of, None),
    ],
)
def test_errors_of_workers(function, message):
    loader = torch.utils.data.DataLoader(Failing(function), num_workers=1)
    assert mistake_of(caught(list, loader)) == message


@pytest.mark.parametrize(
    ('function', 'message'),
    [(require_checkpoint, 'the checkpoint gone.pth does not exist'),
     (int, None), (channels_of, None)],
)  # fmt: skip
def test_errors_of_pools(function, message):
    context = multiprocessing.get_context('fork')
    with ProcessPoolExecutor(1, context) as pool:
        future = pool.submit(function, 'gone.pth')
        assert mistake_of(caught(future.result)) == message


def test_a_missing_extra_is_a_mistake(monkeypatch):
    monkeypatch.setattr(region_generators, 'find_spec', lambda name: None)
    error = caught(region_generators.require_scikit_image)
    assert mistake_of(error).startswith('superpixels need scikit-image: pip')
    assert mistake_of(caught(importlib.import_module, 'not_there')) is None


def test_others_may_be_bugs():
    assert mistake_of(caught(int, 'x')) is None
    assert mistake_of(caught(torch.zeros(2).view, 3)) is None
    assert mistake_of(caught(dict(a=1).__getitem__, 'b')) is None


def test_errors_of_pytorch_in_a_line_of_this_package():
    error = caught(normalize_images, torch.zeros(1, 4, 2, 2), 'clip')
    assert isinstance(error, RuntimeError)
    assert 'critic.py' in str(error.__traceback__.tb_next.tb_frame)
    assert mistake_of(error) is None
    error = caught(format_size, 'x')
    assert mistake_of(error) is None


def test_commands_end_with_one_line(capsys, monkeypatch):
    words = ['test', 'weakclip_voc', 'gone.pth']
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said == 'error: the checkpoint gone.pth does not exist\n'
    assert cli.main(['train', 'weakclip_vco']) == 2
    assert 'error: cannot find the config weakclip_vco' in (
        capsys.readouterr().err
    )
    assert cli.main(['labels', 'gone.csv', '-o', 'x.json']) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: The image labels gone.csv do not exist')
    monkeypatch.setenv(TRACEBACK, '1')
    with pytest.raises(FileNotFoundError):
        cli.main(words)


def test_a_users_error_is_a_mistake_wherever_it_comes_from():
    assert mistake_of(UserError('mend it')) == 'mend it'
