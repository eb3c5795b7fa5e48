"""tools/demo.py on toyland's images and CLIP."""

import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.models import PRESETS
from mmseg_weakclip.toyland import CLASSES

CLIP = ('--model', 'toyclip', '--pretrained', 'toyland', '--device', 'cpu')
SMALL = ('--short-side', '96', '--templates', 'a photo of a {}.')
NAMES = ', '.join(CLASSES)
WORDS = 'water, road|street, grass, sky, sand, brick'


@pytest.fixture
def demo(repo, world, tmp_path, monkeypatch):
    """Run the tool on paths below the world's images; its output folder."""

    def run(*images, options=(), classes=NAMES):
        paths = [str(world / 'data/toyland/JPEGImages' / i) for i in images]
        tool = str(repo / 'tools/demo.py')
        out = str(tmp_path / 'out')
        monkeypatch.setattr(
            sys,
            'argv',
            [tool, *paths, '--classes', classes, '--out', out]
            + [*CLIP, *SMALL, *options],
        )
        runpy.run_path(tool, run_name='__main__')
        return tmp_path / 'out'

    return run


def read(path):
    return np.asarray(Image.open(path))


def test_pictures_and_masks(demo, world, tmp_path):
    masks = tmp_path / 'masks'
    out = demo(
        'val_00000.jpg',
        'val_00001.jpg',
        options=('--background', WORDS, '--out-masks', str(masks)),
    )
    assert {p.name for p in out.iterdir()} == {
        'val_00000.png',
        'val_00001.png',
    }
    for name in ('val_00000', 'val_00001'):
        mask = read(masks / f'{name}.png')
        assert mask.shape == (96, 96)
        assert mask.max() <= len(CLASSES)
        picture = read(out / f'{name}.png')
        assert picture.shape[1] > 96
        source = read(world / f'data/toyland/JPEGImages/{name}.jpg')
        painted = (picture[:96, :96] != source).any(-1)
        # What is background stays as it is.
        assert not painted[mask == 0].any()
        assert painted[mask > 0].all()
        palette = Image.open(masks / f'{name}.png').getpalette()
        assert palette[:6] == [0, 0, 0, 128, 0, 0]


@pytest.mark.parametrize('dense', sorted(set(PRESETS) - {'proxy'}))
def test_every_dense_path(demo, tmp_path, dense):
    masks = tmp_path / 'masks'
    demo(
        'val_00000.jpg',
        options=('--dense', dense, '--out-masks', str(masks)),
    )
    # Without a background every pixel has a class, from 0.
    mask = read(masks / 'val_00000.png')
    assert mask.max() < len(CLASSES)
    palette = Image.open(masks / 'val_00000.png').getpalette()
    assert palette[:3] == [128, 0, 0]


def test_folder_and_windows(demo, world):
    out = demo('', options=('--window', '64', '--threshold', '0.3'))
    images = (world / 'data/toyland/JPEGImages').iterdir()
    assert {p.stem for p in out.iterdir()} == {p.stem for p in images}


@pytest.mark.parametrize(
    ('images', 'options', 'classes', 'message'),
    [
        (('no.jpg',), (), NAMES, 'no.jpg does not exist'),
        (('..',), (), NAMES, 'holds no image'),
        (('val_00000.jpg',), (), ' , ', '--classes names no class'),
        (
            ('val_00000.jpg', '../spare/val_00000.jpg'),
            (),
            NAMES,
            'would share one output',
        ),
    ],
)
def test_refusals(demo, world, images, options, classes, message):
    spare = world / 'data/toyland/spare'
    spare.mkdir(exist_ok=True)
    (spare / 'val_00000.jpg').touch()
    with pytest.raises(SystemExit, match=message):
        demo(*images, options=options, classes=classes)


@pytest.mark.parametrize(
    ('options', 'classes', 'message'),
    [
        (('--threshold', '2'), NAMES, 'threshold=2.0'),
        ((), 'boat, car||tree', 'class 1 of 2 has an empty name'),
        ((), 'boat', 'one class, which would be everywhere'),
        ((), 'boat, ' + 80 * 'car ', 'car car'),
    ],
)
def test_bad_values(demo, options, classes, message):
    with pytest.raises(ValueError, match=message):
        demo('val_00000.jpg', options=options, classes=classes)
