"""Stages, configs and script of runs that start from another tool's masks."""

import json
import subprocess
from contextlib import nullcontext

import numpy as np
import pytest

from mmseg_weakclip.apps.cli import main as weakclip
from mmseg_weakclip.apps.run_folder.schema import StageRecord
from mmseg_weakclip.apps.wsss import pipeline
from mmseg_weakclip.apps.wsss.config_files import write_config
from mmseg_weakclip.apps.wsss.launch import stage_server
from mmseg_weakclip.apps.wsss.launch.machines import write_script
from mmseg_weakclip.apps.wsss.options import METHODS, SEEDS
from mmseg_weakclip.apps.wsss.outside.import_masks import import_masks
from mmseg_weakclip.apps.wsss.stages import stages_of

JOINED = [method for method in METHODS if method != SEEDS]


def test_masks_instead_of_a_method():
    names = [stage.name for stage in stages_of('seeds')]
    assert names == ['data', 'seeds', 'masks', 'segmenter', 'predict',
                     'score', 'results', 'report']  # fmt: skip


def test_masks_joined_with_a_method():
    names = [stage.name for stage in stages_of('excel', joined=True)]
    assert names[:7] == ['data', 'outside', 'refined_outside', 'seeds',
                         'refined_seeds', 'joined', 'segmenter']  # fmt: skip
    names = [s.name for s in stages_of('cam+weakclip', joined=True)]
    assert names[:10] == [
        'data', 'outside', 'refined_outside', 'cam', 'tags', 'seeds',
        'refined_seeds', 'joined', 'weakclip', 'masks',
    ]  # fmt: skip


@pytest.mark.parametrize('method', JOINED)
def test_stages_read_earlier_ones(method):
    before = set()
    for stage in stages_of(method, joined=True):
        assert set(stage.reads) <= before
        before.add(stage.name)
    folders = [s.folder for s in stages_of(method, joined=True) if s.folder]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ('method', 'lists'),
    [
        ('seeds', dict(segmenter='seeds')),
        ('excel', dict(segmenter='masks')),
        ('excel+weakclip', dict(weakclip='joined', segmenter=None)),
        ('cam', dict(cam=None, segmenter='masks')),
    ],
)
def test_images_without_a_labelled_pixel_are_not_trained_on(
    make_run, method, lists
):
    run = make_run(method=method, segmenter='fpn_small', seeds='x')
    stages = stages_of(method, joined=run.options.joins)
    trained = {s.name: s for s in stages if s.kind == 'train'}
    assert set(trained) == set(lists)
    for name, folder in lists.items():
        dataset = trained[name].config(run).train_dataloader.dataset
        expected = 'train.txt'
        if folder is not None:
            expected = str(run.folder / folder / 'train.txt')
        assert dataset.ann_file == expected
        masks = dataset.data_prefix.get('seg_map_path')
        made = {s.folder for s in stages if s.kind != 'train'}
        if masks is not None:
            assert masks.split('/')[-2] in made


@pytest.mark.parametrize('method', METHODS)
def test_script_waits_for_one_machine(make_run, method):
    run = make_run(method=method, seeds='x', segmenter='fpn_small')
    stages = stages_of(method, joined=run.options.joins)
    path = write_script(run, stages)
    assert not subprocess.run(['bash', '-n', path]).returncode
    text = path.read_text()
    ones = [s for s in stages if s.kind in ('import', 'join')]
    assert text.count('on one machine first') == len(ones)
    for stage in ones:
        assert f'{run.folder / stage.folder}/train.txt' in text
    done = subprocess.run(['bash', path], capture_output=True, text=True)
    assert done.returncode == 1
    assert f'--resume --until {ones[0].name}; then' in done.stderr


def test_masks_are_refined_by_the_command(world, rows):
    """Open pixels get a class but where one of the image's has no pixel."""
    world.save('a', rows(0, 255, 1, 1))
    world.save('b', rows(0, 255, 1, 1))
    sources = world.sources()
    run = world.run(sources)
    import_masks(run, sources.outside, run.folder / 'seeds', {})
    stage = {s.name: s for s in stages_of('seeds')}['masks']
    write_config(run, stage, StageRecord('masks', ''))
    config = run.folder / 'configs/masks.py'
    refine = stage.config(run).to_dict()['refine']
    assert refine['min_score'] == refine['labels']['confidence'] == 0.7
    words = ['refine', run.folder / 'seeds', run.folder / 'masks']
    words += ['--config', config, '--workers', '1']
    assert weakclip([str(word) for word in words]) == 0
    a, b = world.mask('a', 'masks'), world.mask('b', 'masks')
    assert not (a == 255).any()
    np.testing.assert_array_equal(b == 255, world.mask('b') == 255)
    assert (world.mask('c', 'masks') == 255).all()
    settings = json.loads((run.folder / 'masks/settings.json').read_text())
    assert settings['labels'] == dict(confidence=0.7)


@pytest.fixture
def resume(world, monkeypatch, capsys):
    """Call the command with the world's masks up to their import."""
    monkeypatch.setattr(stage_server, 'start_server', lambda _: nullcontext())
    monkeypatch.setattr(pipeline, 'capture', lambda *_: (0, ''))
    folder = world.folder

    def call(*words, code=0):
        data = [
            'run',
            '--images',
            folder / 'photos',
            '--labels',
            folder / 'labels.csv',
            '--classes',
            'cat,dog',
            '--work-dir',
            folder / 'out',
            '--segmenter',
            'fpn_small',
            '--gpus',
            '0',
            '--until',
            'seeds',
            '--resume',
            '--seeds',
            world.seeds,
        ]
        assert weakclip([*map(str, [*data, *words])]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return call  # fmt: skip


def test_changed_masks_are_read_again(world, rows, resume):
    world.save('a', rows(0, 1))
    assert 'vetoed' not in resume()
    assert '[2/8] read the masks: done before' in resume()
    world.save('a', rows(2, 1))
    text = resume()
    assert 'read the masks: starts again, changed: masks' in text
    assert 'vetoed: dog in 1 image' in text
    text = resume('--seed-rest', 'unsure')
    assert 'read the masks: starts again, changed: reading' in text
    assert world.mask('a').tolist() == rows(255, 1).tolist()
    text = resume('--seed-classes', 'dog,cat')
    assert 'read the masks: starts again, changed: names' in text
    assert world.mask('a').tolist() == rows(1, 255).tolist()


def test_masks_that_cannot_be_used_end_the_run(world, rows, resume):
    world.save('a', rows(0, 9))
    said = resume(code=2)
    assert said.count('error: 1 mask of --seeds cannot be used') == 1
    assert 'a.png has ids [9]' in said
    world.save('a', rows(0, 1))
    assert '1 mask read as PNGs' in resume()
