import csv
import json
import shutil

import pytest

from mmseg_weakclip.apps.run_folder.schema import RunImage
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.apps.wsss.run import Run
from mmseg_weakclip.toyland.writer import write_toyland

TRAIN, VAL = 12, 4


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
    """A small toyland as people have their images.

    A folder ``photos``, ``labels.csv``, ``classes.txt``, and ``masks`` of
    some images.
    """
    root = tmp_path_factory.mktemp('plain')
    toyland = root / 'toyland'
    write_toyland(toyland, TRAIN, VAL, workers=1)
    known = json.loads((toyland / 'image_labels.json').read_text())
    shutil.copytree(toyland / 'JPEGImages', root / 'photos')
    (root / 'masks').mkdir()
    for name in known['labels']:
        if name.startswith('val'):
            shutil.copy(
                toyland / 'SegmentationClass' / f'{name}.png', root / 'masks'
            )
    with (root / 'labels.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['image', 'labels'])
        for name, labels in known['labels'].items():
            writer.writerow([f'{name}.jpg', ';'.join(labels)])
    (root / 'classes.txt').write_text('\n'.join(known['classes']))
    shutil.rmtree(toyland)
    return root


@pytest.fixture
def make_run(repo, tmp_path):
    """A run that has not begun, over images that are not there."""

    def make(classes='cat,dog,teddy bear', sizes=((640, 480),), **options):
        entries = [
            RunImage(
                id=str(i),
                source=f'{i}.jpg',
                file=f'images/{i}.jpg',
                size=(height, width),
                original_size=(height, width),
                split='val' if i == 0 else 'train',
                labels=('cat',),
                truth='truth/0.png' if i == 0 else None,
                digest='',
            )
            for i, (width, height) in enumerate([*sizes, *sizes])
        ]
        return Run(
            root=repo,
            folder=tmp_path / 'out',
            options=Options(
                images='photos', labels='labels.csv', work_dir='out', **options
            ).with_clip_defaults(),
            classes=read_classes(classes),
            images=entries,
            gpus=0,
            workers=2,
        )

    return make


@pytest.fixture(scope='session')
def small():
    """Options of a run that is over soon."""
    return (
        '--clip', 'toyclip', '--segmenter', 'fpn_small', '--iterations', '12',
        '--batch-size', '2', '--method-iterations', '8', '--gpus', '0',
    )  # fmt: skip


@pytest.fixture(scope='session')
def call(weakclip_run):
    """Run the command; gives what it printed on stdout and stderr."""

    def run(*words, code=0):
        found, stdout, stderr = weakclip_run(*words)
        assert found == code, stdout + stderr
        return stdout, stderr

    return run


@pytest.fixture(scope='session')
def data(photos):
    return (
        '--images', photos / 'photos', '--labels', photos / 'labels.csv',
        '--classes', photos / 'classes.txt', '--truth', photos / 'masks',
    )  # fmt: skip
