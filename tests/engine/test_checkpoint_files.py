"""Checkpoints of mmengine, read as data."""

import copy
import io
import os
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, get_torchvision_models

from mmseg_weakclip.engine.checkpoint_files import (
    load_from_address,
    read_checkpoint_file,
)


class Attack:
    """A pickle that writes a file when it is loaded by all of pickle."""

    def __init__(self, path, command=os.mkdir):
        self.path, self.command = str(path), command

    def __reduce__(self):
        return self.command, (self.path,)


class Other:
    """An object of a class that nobody allows."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'theirs.pth'


@pytest.fixture
def trace(tmp_path):
    """A folder that only code from a checkpoint makes."""
    folder = tmp_path / 'attacked'
    yield folder
    assert not folder.exists()


def test_mmengine_alone_runs_what_a_file_says(path, tmp_path):
    """What the tests below guard against does work."""
    torch.save(dict(meta=Attack(tmp_path / 'made')), path)
    torch.load(path, weights_only=False)
    assert (tmp_path / 'made').is_dir()


def test_what_mmengine_saves_comes_back(path):
    hub = MessageHub.get_instance('reading')
    for value in (0.5, 0.25, 0.125):
        hub.update_scalar('train/loss', value, 2)
    hub.update_info('best', np.float64(3.5))
    state = OrderedDict(a=torch.ones(2, 3))
    state._metadata = OrderedDict(version=1)
    saved = dict(
        meta=dict(
            iter=7, score=np.float32(0.5), areas=np.arange(6).reshape(2, 3)
        ),
        state_dict=state,
        message_hub=hub.state_dict(),
        config=ConfigDict(a=[ConfigDict(b=1)]),
        nested=((np.array([1.5, 2.5]), 'x'), {3: [np.bool_(1)]}),
    )
    torch.save(copy.deepcopy(saved), path)
    loaded = read_checkpoint_file(path)
    assert loaded['meta']['iter'] == 7
    assert loaded['meta']['score'] == 0.5
    assert np.array_equal(loaded['meta']['areas'], saved['meta']['areas'])
    assert loaded['meta']['areas'].dtype == saved['meta']['areas'].dtype
    assert type(loaded['state_dict']) is OrderedDict
    assert loaded['state_dict']._metadata == state._metadata
    assert torch.equal(loaded['state_dict']['a'], state['a'])
    assert loaded['config'] == dict(a=[dict(b=1)])
    (numbers, name), rest = loaded['nested']
    assert numbers.tolist() == [1.5, 2.5]
    assert (name, rest) == ('x', {3: [True]})
    # A hub goes on from it as from its own.
    other = MessageHub.get_instance('reading again')
    other.load_state_dict(loaded['message_hub'])
    history = other.get_scalar('train/loss')
    assert type(history) is HistoryBuffer
    assert history.data[0].tolist() == [0.5, 0.25, 0.125]
    assert history.data[1].tolist() == [2, 2, 2]
    assert history.mean(2) == 0.09375
    assert other.get_info('best') == 3.5


def test_arrays_keep_their_order(path):
    array = np.asfortranarray(np.arange(6, dtype='>i4').reshape(2, 3))
    torch.save(dict(state_dict={}, a=array), path)
    assert np.array_equal(read_checkpoint_file(path)['a'], array)


@pytest.mark.parametrize('where', ['meta', 'optimizer', 'message_hub'])
@pytest.mark.parametrize('as_zip', [True, False])
@pytest.mark.parametrize('command', [os.mkdir, os.open, eval])
def test_code_is_refused_and_not_run(where, as_zip, command, path, trace):
    state = dict(a=torch.ones(2))
    content = {'state_dict': state, where: dict(x=Attack(trace, command))}
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    name = r'of eval|posix|nt\.'
    with pytest.raises(ValueError, match=rf'theirs\.pth .*({name})') as error:
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert 'weights_only' not in str(error.value)


def test_other_objects_are_refused(path):
    torch.save(dict(meta=Other()), path)
    with pytest.raises(ValueError, match=r'theirs\.pth .*object of .*Other'):
        read_checkpoint_file(path)


def test_objects_of_numpy_are_refused(path):
    torch.save(dict(meta=np.array([None, 'a'], dtype=object)), path)
    with pytest.raises(ValueError, match=r'theirs\.pth'):
        read_checkpoint_file(path)


def test_getattr_gives_no_function(path, trace):
    """mmengine allows getattr; here it only is a name."""

    class Reach:
        def __reduce__(self):
            return getattr, (HistoryBuffer, 'mean')

    torch.save(dict(x=Reach()), path)
    assert read_checkpoint_file(path)['x'] == 'mean'


@pytest.mark.parametrize(
    'fields',
    [
        dict(_log_history=np.ones(3), _count_history=np.ones(2)),
        dict(_log_history=np.ones(3)),
        dict(_log_history=None, _count_history=None),
        dict(max_length='many'),
    ],
)
def test_damaged_histories(fields, path):
    history = HistoryBuffer([1.0], [1])
    history.__dict__.update(fields)
    if '_count_history' not in fields and '_log_history' in fields:
        del history._count_history
    torch.save(dict(x=history), path)
    with pytest.raises(ValueError, match='HistoryBuffer is damaged'):
        read_checkpoint_file(path)


def test_a_config_in_meta_is_left_out(path):
    """mmengine's Runner.resume runs the text of a config."""
    torch.save(dict(meta=dict(config='import os', iter=3)), path)
    assert read_checkpoint_file(path)['meta'] == dict(iter=3)


def test_containers_in_themselves(path):
    content = []
    content.append(content)
    torch.save(dict(x=content), path)
    with pytest.raises(ValueError, match=r'theirs\.pth cannot be read'):
        read_checkpoint_file(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'<html>please log in', 'a web page'),
        (b'', 'an empty file'),
        (b'version https://git-lfs', 'a Git LFS pointer'),
    ],
)
def test_other_files(content, message, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'theirs\.pth .*{message}'):
        CheckpointLoader.load_checkpoint(str(path))


def test_a_list_is_no_checkpoint(path):
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r'theirs\.pth .*a list'):
        read_checkpoint_file(path)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'gone.pth'))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """PyTorch's cache of downloads, below a folder of the test."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    folder = tmp_path / 'home/hub/checkpoints'
    folder.mkdir(parents=True)
    return folder


def test_addresses_are_downloaded_once(tmp_path, cache):
    source = tmp_path / 'there.pth'
    torch.save(dict(a=torch.ones(2)), source)
    for _ in range(2):
        loaded = load_from_address(source.as_uri(), 'cpu')
        assert loaded['a'].tolist() == [1, 1]
        # The second time it is in the cache.
        source.unlink(missing_ok=True)
    assert (cache / 'there.pth').is_file()


@pytest.mark.parametrize('as_zip', [True, False])
@pytest.mark.parametrize(
    'source',
    ['https://any.where/resnet50.pth', 'torchvision://resnet50',
     'open-mmlab://resnet50_v1c', 'mmcls://vgg11'],
)  # fmt: skip
def test_downloads_are_read_as_data(source, as_zip, cache, trace, monkeypatch):
    def attack(url, file, **_):
        content = dict(state_dict=dict(x=Attack(trace)))
        torch.save(content, file, _use_new_zipfile_serialization=as_zip)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', attack)
    with pytest.raises(ValueError, match='cannot be read: .*posix'):
        CheckpointLoader.load_checkpoint(source)


def test_names_of_torchvision(cache):
    name = get_torchvision_models()['resnet18'].rpartition('/')[2]
    torch.save(dict(a=torch.ones(2)), cache / name)
    loaded = CheckpointLoader.load_checkpoint('torchvision://resnet18')
    assert loaded['a'].tolist() == [1, 1]
    with pytest.raises(ValueError, match="no weights of the name 'resnet19'"):
        CheckpointLoader.load_checkpoint('torchvision://resnet19')


def test_stores_are_refused():
    for address in ('s3://a/b.pth', 'x:petrel://a/b.pth', 'pavi://a'):
        with pytest.raises(ValueError, match='download it'):
            CheckpointLoader.load_checkpoint(address)


def test_initial_weights_are_read_as_data(path, trace):
    torch.save(dict(state_dict=dict(x=Attack(trace))), path)
    module = BaseModule(dict(type='Pretrained', checkpoint=str(path)))
    with pytest.raises(ValueError, match=r'theirs\.pth'):
        module.init_weights()


def test_a_zip_without_pytorch(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('weights.pth', b'123')
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match='that PyTorch did not write'):
        read_checkpoint_file(path)
