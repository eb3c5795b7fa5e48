"""Backgrounds of a small toyland, found by its CLIP, against the truth."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from mmseg_weakclip.evaluation.threshold_metrics import set_precision_recall
from mmseg_weakclip.models.clims.background_cache import BackgroundCache
from mmseg_weakclip.toyland.backgrounds import scene_backgrounds
from mmseg_weakclip.toyland.objects import CLASSES, USUAL_BACKGROUND
from mmseg_weakclip.toyland.textures import BACKGROUNDS
from mmseg_weakclip.toyland.writer import write_toyland

SCENES = 48


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a world that has something to count."""
    folder = tmp_path_factory.mktemp('backgrounds')
    (folder / 'data').mkdir()
    write_toyland(folder / 'data/toyland', SCENES, 1, workers=1)
    shutil.rmtree(folder / 'data/toyland/SegmentationClass')
    return folder


@pytest.fixture(scope='module')
def config(repo):
    return repo / 'configs/toyland/extract_backgrounds.py'


@pytest.fixture(scope='module')
def run(repo, place, config):
    def run(*arguments, options=(), config=config):
        return subprocess.run(
            [
                sys.executable,
                str(repo / 'tools/extract_backgrounds.py'),
                str(config),
                *arguments,
                '--cfg-options',
                'train_dataloader.num_workers=0',
                *options,
            ],
            cwd=place,
            env={
                **os.environ,
                'PYTHONPATH': str(repo),
                'OMP_NUM_THREADS': '1',
                'CUDA_VISIBLE_DEVICES': '',
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope='module')
def first(run):
    result = run()
    assert not result.returncode, result.stderr
    return result


@pytest.fixture
def run_again(load_tool, place, config, monkeypatch):
    """Run the tool in this process."""
    # As the process of its own has it.
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')
    monkeypatch.chdir(place)

    def run(*arguments, options=(), config=config):
        words = ('--cfg-options', 'train_dataloader.num_workers=0', *options)
        argv = ['extract_backgrounds.py', str(config), *arguments, *words]
        monkeypatch.setattr(sys, 'argv', argv)
        load_tool('extract_backgrounds.py').main()

    return run


@pytest.fixture
def cache(first, place):
    return BackgroundCache.load(place / 'data/toyland/backgrounds.json')


def test_against_the_truth(cache, place):
    textures = scene_backgrounds(place / 'data/toyland', 'train')
    assert list(cache.images) == sorted(textures)
    found = {
        (image_id, name): set(cache.texts(image_id, name)) & set(BACKGROUNDS)
        for image_id, entry in cache.images.items()
        for name in entry
    }
    truth = {key: {textures[key[0]]} for key in found}
    score = set_precision_recall(found, truth)
    assert score.precision > 0.9
    assert score.recall > 0.9


def test_labels_of_the_file(cache, place):
    path = place / 'data/toyland/image_labels.json'
    labels = json.loads(path.read_text())['labels']
    for image_id, entry in cache.images.items():
        assert sorted(entry) == sorted(labels[image_id])


def test_summary(first, cache):
    lines = first.stdout.splitlines()
    for name in CLASSES:
        (line,) = (row for row in lines if row.strip().startswith(f'{name}:'))
        assert len(line.split(',')) <= 5
        text, count = cache.most_frequent(1)[name][0]
        assert f'{name}: {text} {count}' in line
    usual = [
        USUAL_BACKGROUND[name] == texts[0][0]
        for name, texts in cache.most_frequent(1).items()
    ]
    assert sum(usual) >= 6


def test_note(cache):
    assert cache.note['model'] == 'toyclip'
    assert cache.note['settings']['similarity'] == 0.8


def test_views_are_taken_up(run_again, place, first, cache, tmp_path):
    """The second run encodes nothing; the settings may be others."""
    folder = place / 'work_dirs/extract_backgrounds/views'
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run_again('--out', str(tmp_path / 'again.json'))
    again = BackgroundCache.load(tmp_path / 'again.json')
    assert again.images == cache.images
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == times


def test_views_of_other_crops_are_refused(run_again, first):
    message = 'boxes(?s:.)*choose another --work-dir'
    with pytest.raises((SystemExit, ValueError), match=message):
        run_again(options=['background_extractor.crops=0.7'])


def test_masks_are_refused(run_again, config, tmp_path):
    path = tmp_path / 'masks.py'
    steps = ', '.join(
        f"dict(type='{name}')"
        for name in ('LoadColorImage', 'LoadAnnotations', 'PackSegInputs')
    )
    path.write_text(
        f"_base_ = '{config}'\n"
        f'train_dataloader = dict(dataset=dict(pipeline=[{steps}]))\n'
    )
    message = r'reads masks \(LoadAnnotations\)'
    with pytest.raises((SystemExit, ValueError), match=message):
        run_again(config=path)
