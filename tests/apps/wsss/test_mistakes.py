"""What newcomers get wrong: one clear line each, exit code 2, no traceback."""

import contextlib
import io
import json
import shutil
import socket
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from mmengine.runner import CheckpointLoader
from PIL import Image

from mmseg_weakclip.apps.cli import main as weakclip
from mmseg_weakclip.apps.wsss import pipeline
from mmseg_weakclip.apps.wsss import preflight as machine
from mmseg_weakclip.apps.wsss.launch import stage_server

SMALL = ('--clip', 'toyclip', '--segmenter', 'fpn_small')
DATA = ('--images', '{images}', '--labels', '{labels}')


@pytest.fixture
def world(photos, tmp_path):
    """The user's files; each test spoils something."""
    shutil.copytree(photos / 'photos', tmp_path / 'photos')
    shutil.copytree(photos / 'masks', tmp_path / 'masks')
    shutil.copy(photos / 'labels.csv', tmp_path)
    shutil.copy(photos / 'classes.txt', tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').touch()
    return tmp_path


def check_here(launcher, command):
    """Check weights in this process, where tests cut the network."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = weakclip(command[3:])
    return code, said.getvalue().strip()


@pytest.fixture
def refuse(load_tool, world, capsys, monkeypatch):
    """Call the tool; gives the one line that it says."""
    tool = load_tool('wsss.py')
    # Nothing is run so far that a server would pay.
    monkeypatch.setattr(stage_server, 'start_server', lambda _: nullcontext())
    monkeypatch.setattr(pipeline, 'capture', check_here)

    def call(*words, code=2):
        places = dict(
            images=world / 'photos', labels=world / 'labels.csv', world=world
        )
        words = [str(word).format(**places) for word in words]
        if '--work-dir' not in words:
            words += ['--work-dir', str(world / 'out')]
        assert tool.main(words) == code
        lines = capsys.readouterr().err.strip().split('\n')
        said = [line for line in lines if line.startswith('error: ')]
        assert len(said) == 1, lines
        assert 'Traceback' not in '\n'.join(lines)
        return said[0]

    return call


CLASSES = ('--classes', '{world}/classes.txt')


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--labels', '{labels}'], '--images is missing'),
        (['--images', '{images}'], '--labels is missing'),
        (['--images', '{world}/none', *DATA[2:]], 'none does not exist'),
        (['--images', '{world}/file', *DATA[2:]], 'file is a file'),
        (['--images', '{world}/empty', *DATA[2:]], 'empty holds no image'),
        ([*DATA[:2], '--labels', '{world}/x.csv'], 'x.csv does not exist'),
        ([*DATA[:2], '--labels', '{world}/masks'], 'pixel truth'),
        ([*DATA, '--method', 'exel'], 'did you mean excel?'),
        ([*DATA, '--method', 'magic'], 'known: excel, clipes, clims'),
        ([*DATA, '--segmenter', 'segformer'], 'did you mean segformer_b2?'),
        ([*DATA, '--until', 'mask'], 'did you mean masks?'),
        ([*DATA, '--imges', 'x'], 'unrecognized arguments: --imges'),
        ([*DATA, '--iterations', 'many'], "invalid int value: 'many'"),
        ([*DATA, '--iterations', '0'], '--iterations 0 is below 1'),
        ([*DATA, '--val-share', '1.5'], '--val-share 1.5 is not in [0, 1)'),
        ([*DATA, '--gpus', '64'], '--gpus 64, but this machine has'),
        ([*DATA, '--clip', 'ViT-B-17'], 'did you mean ViT-B-16?'),
        ([*DATA, '--clip', 'ViT-B/17'], 'did you mean ViT-B-16?'),
        ([*DATA, '--clip', 'hf-hub:name'], 'write hf-hub:ORGANISATION/NAME'),
        (
            [*DATA, '--clip', 'local-dir:{world}/empty'],
            'the folder has no open_clip_config.json',
        ),
        ([*DATA, '--clip', 'RN50'], 'RN50 cannot be used: '),
        (
            [*DATA, '--clip', 'hf-hub:a/b', '--clip-weights', 'random'],
            'has weights of its own',
        ),
        (
            [*DATA, '--backbone', 'resnet18'],
            'methods that do: cam, cam+weakclip, clims',
        ),
        (
            [*DATA, '--backbone-weights', 'none'],
            '--method excel trains no classifier',
        ),
        ([*DATA, '--method', 'cam', '--backbone', 'resnet17'], 'resnet17'),
        (
            [*DATA, '--method', 'cam', '--backbone', 'mixer_s16_224'],
            "'mixer_s16_224' gives no feature maps",
        ),
        (
            [*DATA, '--method', 'cam', '--backbone-weights', 'w.pth'],
            'w.pth does not exist',
        ),
        ([*DATA, '--method', 'cam', '--clip', 'toyclip'], 'uses no CLIP'),
        ([*DATA, '--method', 'cam', '--clip-size', '9'], 'uses no CLIP'),
        (
            [*DATA, '--method', 'cam+weakclip', '--clip-size', '224'],
            'maps with a classifier, at the sizes of its own',
        ),
        ([*DATA, '--crf', 'yes'], '--crf yes is unknown'),
        ([*DATA, '--truth', '{world}/masks'], '--truth needs --classes'),
        ([*DATA, *CLASSES, '--truth', '{world}/empty'], 'holds no PNG'),
        ([*DATA, '--classes', '{world}/c.yaml'], 'c.yaml does not exist'),
        ([*DATA, '--work-dir', '{world}/file/out'], 'cannot be written'),
        ([*DATA, '--val-list', '{world}/v.txt'], 'v.txt does not exist'),
    ],
)
def test_wrong_words(refuse, words, said):
    assert said in refuse(*words)


@pytest.mark.parametrize(
    ('text', 'words', 'said'),
    [
        ('image,labels\ntrain_00000,baot\n', CLASSES, "did you mean 'boat'?"),
        ('image,by,what\nx,y,boat\n', (), '--label-columns'),
        ('image,labels\n', (), 'labels.csv'),
        ('', (), 'labels.csv is empty'),
        ('image,labels\nIMG_1,boat\n', (), 'the images are called like train'),
        ('image,labels\ntrain_00000,boat,car\n', (), 'line 2'),
        ('image,labels\ntrain_00000,Bäume\n', 'latin-1', 'CSV UTF-8'),
    ],
)
def test_wrong_labels(refuse, world, text, words, said):
    encoding = 'utf-8'
    if isinstance(words, str):
        encoding, words = words, ()
    (world / 'labels.csv').write_bytes(text.encode(encoding))
    assert said in refuse(*DATA, *words)


def test_a_damaged_image(refuse, world):
    path = world / 'photos/train_00003.jpg'
    path.write_bytes(path.read_bytes()[:700])
    said = refuse(*DATA, *SMALL)
    assert 'train_00003.jpg' in said
    assert '--skip-damaged' in said


def test_a_mask_of_another_size(refuse, world):
    mask = next((world / 'masks').iterdir())
    Image.fromarray(np.zeros((50, 96), np.uint8)).save(mask)
    said = refuse(*DATA, *CLASSES, *SMALL, '--truth', '{world}/masks')
    assert f'{mask.name} is 50 x 96' in said


def test_no_disk(refuse, world, monkeypatch):
    full = shutil.disk_usage('/')._replace(free=10 * 2**20)
    monkeypatch.setattr(machine.shutil, 'disk_usage', lambda _: full)
    assert '0.0 GiB left' in refuse(*DATA, *SMALL)
    assert not (world / 'out').exists()


def test_no_permission(refuse, monkeypatch):
    def deny(*args, **kwargs):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(Path, 'mkdir', deny)
    said = refuse(*DATA, *SMALL)
    assert 'out cannot be written: Permission denied' in said


def test_no_internet_and_no_clip(refuse, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError('Name or service not known')

    monkeypatch.setattr(open_clip, 'download_pretrained', fail)
    said = refuse(*DATA, '--segmenter', 'fpn_small')
    assert 'ViT-B-16-quickgelu' in said
    assert '--clip-weights FILE' in said


def test_no_weights_for_the_segmenter(refuse, monkeypatch):
    def fail(url, **kwargs):
        raise OSError(f'connection lost while loading {url}')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', fail)
    said = refuse(*DATA, '--clip', 'toyclip', '--segmenter', 'segformer_b2')
    assert 'mit_b2' in said
    assert 'hub/checkpoints' in said
    assert '--segmenter-weights none' in said


def test_no_network_for_timms_weights(refuse, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('no route')

    monkeypatch.setattr('socket.create_connection', fail)
    said = refuse(*DATA, '--clip', 'toyclip', '--segmenter', 'dinov2-s')
    assert 'timm:vit_small_patch14_dinov2.lvd142m cannot be loaded' in said
    assert '--segmenter-weights FILE' in said


@pytest.mark.parametrize(
    'words',
    [
        ('--clip-weights', 'gone.pt'),
        ('--clip-weights', 'folder/gone'),
        ('--segmenter-weights', 'gone'),
        ('--segmenter', 'deeplabv3plus_r50', '--batch-size', '1'),
    ],
)
def test_found_by_the_plan(refuse, world, words):
    said = refuse(*DATA, *SMALL, *words, '--dry-run')
    assert words[-2] in said
    assert 'does not exist' in said or 'batch of 1 image' in said
    assert not (world / 'out').exists()


def test_weights_of_another_clip(refuse, world):
    torch.save({'visual.conv1.weight': torch.zeros(1)}, world / 'w.pt')
    said = refuse(
        *DATA, '--segmenter', 'fpn_small', '--clip-weights', '{world}/w.pt'
    )
    assert 'w.pt' in said


def test_a_damaged_manifest(refuse, world):
    (world / 'out').mkdir()
    (world / 'out/manifest.json').write_text('{"version": 1')
    assert 'manifest.json is not valid JSON' in refuse(
        *DATA, *SMALL, '--resume'
    )
    (world / 'out/manifest.json').write_text(json.dumps(dict(version=9)))
    assert 'has version 9' in refuse(*DATA, *SMALL, '--resume')


def test_a_stage_that_fails(refuse, world, load_tool):
    """No mistake of the user's: exit code 1, and where to read more."""
    words = ['--images', world / 'photos', '--labels', world / 'labels.csv']
    words += ['--work-dir', world / 'out', *SMALL, '--until']
    tool = load_tool('wsss.py')
    assert tool.main([*map(str, words), 'data']) == 0
    config = world / 'out/configs/seeds.py'
    config.write_text('model = dict(type="Nothing")\n')
    said = refuse('--until', 'seeds', '--resume', code=1)
    assert 'make seeds failed' in said
    assert 'logs/seeds.log' in said


def test_no_internet_and_no_weights_of_a_backbone(refuse, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('Name or service not known')

    monkeypatch.setattr(socket, 'create_connection', fail)
    said = refuse(
        *DATA, '--segmenter', 'fpn_small', '--method', 'cam',
        '--backbone', 'test_resnet',
    )  # fmt: skip
    assert 'timm:test_resnet' in said
    assert '--backbone-weights FILE' in said


@pytest.mark.parametrize(
    ('until', 'checked'),
    [
        (None, ['seeds', 'masks', 'segmenter']),
        ('masks', ['seeds', 'masks']),
        ('seeds', ['seeds']),
    ],
)
def test_weights_of_stages_that_are_never_reached(monkeypatch, until, checked):
    """They need not be there."""
    seen = []
    monkeypatch.setattr(
        pipeline, 'capture', lambda _, words: seen.append(words) or (0, '')
    )
    monkeypatch.setattr(pipeline, 'config_path', lambda _, stage: stage.name)
    line = object.__new__(pipeline.Pipeline)
    line.run = line.launcher = None
    line.report = line._is_trusted = lambda _: None
    line.stages = {
        name: SimpleNamespace(name=name, config=config)
        for name, config in (
            ('data', None), ('seeds', 's'), ('masks', 'm'), ('segmenter', 'x'),
        )
    }  # fmt: skip
    line.check_weights(until)
    assert [words[-len(checked) :] for words in seen] == [checked]
    assert [len(words) for words in seen] == [4 + len(checked)]
