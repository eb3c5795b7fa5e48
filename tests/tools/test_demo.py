"""tools/demo.py on toyland's images, by class names and CLIP alone."""

import re
import shutil

import cv2
import numpy as np
import open_clip
import pytest
from mmcv.transforms import Compose
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_weakclip.apps.demo.segmenter import Segmenter
from mmseg_weakclip.models.clip.dense.presets import OWN_PRESETS
from mmseg_weakclip.toyland.objects import CLASSES

WORDS = ('--background', 'water, road|street, grass, sky, sand, brick')
ORIENTATION, ROTATED = 274, 6


@pytest.fixture(scope='session')
def images(world):
    """The folder of the world's images."""
    return world / 'data/toyland/JPEGImages'


def read(path):
    return np.asarray(Image.open(path))


def test_pictures_and_masks(run_demo, by_names, images, tmp_path):
    masks = tmp_path / 'masks'
    names = {'val_00000', 'val_00001'}
    out = run_demo(
        *(images / f'{name}.jpg' for name in names),
        *by_names,
        *WORDS,
        *('--out-masks', masks),
    )
    assert {p.name for p in out.iterdir()} == {f'{n}.png' for n in names}
    for name in names:
        mask = read(masks / f'{name}.png')
        assert mask.shape == (96, 96)
        assert mask.max() <= len(CLASSES)
        picture = read(out / f'{name}.png')
        assert picture.shape[1] > 96
        painted = (picture[:96, :96] != read(images / f'{name}.jpg')).any(-1)
        # What is background stays as it is.
        assert not painted[mask == 0].any()
        assert painted[mask > 0].all()
        palette = Image.open(masks / f'{name}.png').getpalette()
        assert palette[:6] == [0, 0, 0, 128, 0, 0]


# The others name blocks that a small CLIP does not have.
@pytest.mark.parametrize(
    'dense', sorted(set(OWN_PRESETS) - {'sc_clip', 'res_clip'})
)
def test_every_dense_path(run_demo, by_names, images, tmp_path, dense):
    masks = tmp_path / 'masks'
    run_demo(
        images / 'val_00000.jpg',
        *by_names,
        *('--dense', dense, '--out-masks', masks),
    )
    # Without a background every pixel has a class, from 0.
    mask = read(masks / 'val_00000.png')
    assert mask.max() < len(CLASSES)
    palette = Image.open(masks / 'val_00000.png').getpalette()
    assert palette[:3] == [128, 0, 0]


def test_folder_and_windows(run_demo, by_names, images):
    out = run_demo(images, *by_names, '--window', 64, '--threshold', 0.3)
    assert {p.stem for p in out.iterdir()} == {
        p.stem for p in images.iterdir()
    }


def test_batches_are_of_one_size(run_demo, by_names, images, tmp_path):
    """Mixed sizes, three at a time: the masks of one at a time."""
    folder = tmp_path / 'mixed'
    folder.mkdir()
    for index, path in enumerate(sorted(images.iterdir())[:7]):
        image = cv2.imread(str(path))[: 96 - 16 * (index % 2)]
        # Suffixes of cameras are in upper case.
        cv2.imwrite(str(folder / f'{path.stem}.PNG'), image)
    masks = {}
    for size in (1, 3):
        target = tmp_path / f'masks{size}'
        run_demo(
            folder,
            *by_names,
            *WORDS,
            *('--batch-size', size, '--out-masks', target),
        )
        masks[size] = {p.name: read(p) for p in target.iterdir()}
    assert len(masks[1]) == 7
    assert masks[1].keys() == masks[3].keys()
    assert {mask.shape for mask in masks[1].values()} == {(96, 96), (80, 96)}
    for name, mask in masks[1].items():
        # Sums of another order may tip a pixel, no more.
        assert (mask == masks[3][name]).mean() > 0.999


def test_cameras_that_lie_on_their_side(run_demo, by_names, images, tmp_path):
    upright = Image.open(images / 'val_00000.jpg').crop((0, 0, 96, 64))
    tags = Image.Exif()
    tags[ORIENTATION] = ROTATED
    path = tmp_path / 'turned.jpg'
    upright.transpose(Image.Transpose.ROTATE_90).save(
        path, exif=tags, quality=95
    )
    masks = tmp_path / 'masks'
    out = run_demo(path, *by_names, *WORDS, '--out-masks', masks)
    mask = read(masks / 'turned.png')
    assert mask.shape == (64, 96)
    picture = read(out / 'turned.png')[:64, :96].astype(int)
    apart = abs(picture - np.asarray(upright)).mean(-1)
    assert np.median(apart[mask == 0]) < 10


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no.jpg'], 'no.jpg does not exist'),
        (['empty'], 'empty holds no image or video'),
        (['notes.txt'], 'notes.txt is not an image or video by its suffix'),
        (['a.jpg', 'deep/a.jpg'], 'a.jpg and .*deep/a.jpg would share'),
        (['a.jpg', 'deep/a.JPEG'], 'would share .*a.png'),
        (['b.png', '--out', '.'], 'the result of .*b.png would overwrite'),
        (['a.jpg', '--out-masks', 'out'], '--out and --out-masks are both'),
        (['a.jpg', '--out', 'notes.txt'], 'notes.txt cannot be written'),
        (['a.jpg', '--out', '/proc'], '/proc cannot be written'),
        (['a.jpg', '--device', 'cuda:77'], 'cannot use the device cuda:77: '),
        (['a.jpg', '--device', 'abacus'], 'cannot use the device abacus: '),
        (['damaged.jpg'], 'damaged.jpg is damaged or not an image'),
        (['a.jpg', '--classes', ' , '], '--classes names no class'),
        (['a.jpg', '--config', 'x.py'], 'either --classes, or --config'),
        (['a.jpg', '--checkpoint', 'x.pth'], '--checkpoint needs --config'),
        (['a.jpg', '--threshold', 2], 'threshold=2.0'),
        (['a.jpg', '--classes', 'a, b||c'], 'class 1 of 2 has an empty name'),
        (['a.jpg', '--classes', 'boat'], 'one class, which would cover every'),
        (['a.jpg', '--classes', 'a,' + 80 * 'car '], 'car car'),
        (['a.jpg', '--classes', 'a,' * 256], '256 classes are too many'),
        (['a.jpg', '--batch-size', 0], '0 is not above 0'),
    ],
)
def test_refusals(
    refused_demo, by_names, images, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    for folder in ('empty', 'deep'):
        (tmp_path / folder).mkdir()
    for name in ('a.jpg', 'deep/a.jpg', 'deep/a.JPEG'):
        shutil.copy(images / 'val_00000.jpg', tmp_path / name)
    Image.new('RGB', (20, 10)).save(tmp_path / 'b.png')
    (tmp_path / 'notes.txt').touch()
    (tmp_path / 'damaged.jpg').write_bytes(b'none')
    line = refused_demo(*by_names, *arguments)
    assert re.search(message, line), line


class Depth:
    """Stands for a model of mmseg that predicts something else."""

    def test_step(self, batch):
        return [SegDataSample()]


def test_what_a_segmenter_says_of_ids():
    image = np.zeros((4, 6, 3), np.uint8)
    pack = Compose([dict(type='PackSegInputs')])
    colors = [[1, 2, 3]] * 3
    segmenter = Segmenter(Depth(), pack, ('a', 'background', 'b'), colors)
    # No class for the background, wherever it stands.
    ids = np.array([[0, 1, 2]], np.uint8)
    assert segmenter.visible(ids).tolist() == [[0, 255, 2]]
    with pytest.raises(ValueError, match='Depth predicts no classes'):
        segmenter.predict([image], ['a.png'])


def test_missing_weights_are_one_line(
    refused_demo, images, monkeypatch, tmp_path
):
    """Which file, and where it goes."""

    def fail(*args, **kwargs):
        raise OSError('no\nroute')

    monkeypatch.setattr(open_clip, 'download_pretrained', fail)
    line = refused_demo(images / 'val_00000.jpg', '--classes', 'a, b')
    assert 'fetch https://openaipublic' in line
    assert 'ViT-B-16.pt elsewhere' in line
    assert 'its path as `pretrained`' in line


def test_half_precision(run_demo, by_names, images, tmp_path, monkeypatch):
    monkeypatch.setattr(
        'mmseg_weakclip.engine.precision.has_fast_bfloat16', lambda: True
    )
    found = []
    for words in ([], ['--amp']):
        masks = tmp_path / f'masks{len(words)}'
        rest = (*WORDS, '--out-masks', masks, *words)
        run_demo(images / 'val_00000.jpg', *by_names, *rest)
        found.append(read(masks / 'val_00000.png'))
    assert (found[0] == found[1]).mean() >= 0.99
