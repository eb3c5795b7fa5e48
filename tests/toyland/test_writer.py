import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.labels.formats import read_image_labels
from mmseg_weakclip.toyland.objects import CLASSES
from mmseg_weakclip.toyland.scenes import make_scene
from mmseg_weakclip.toyland.writer import FIRST_SEED, write_toyland

SMALL = dict(train=6, val=3, size=64, workers=2)


def read(root, folder, name):
    return np.asarray(Image.open(root / folder / name))


def test_voc_layout(tmp_path):
    root = tmp_path / 'toyland'
    assert write_toyland(root, **SMALL)
    lists = root / 'ImageSets/Segmentation'
    train = (lists / 'train.txt').read_text().split()
    val = (lists / 'val.txt').read_text().split()
    assert len(train) == 6
    assert len(val) == 3
    labels = read_image_labels(str(root / 'image_labels.json'), CLASSES)
    captions = json.loads((root / 'captions.json').read_text())
    for name in train + val:
        image = read(root, 'JPEGImages', f'{name}.jpg')
        mask = read(root, 'SegmentationClass', f'{name}.png')
        assert image.shape == (64, 64, 3)
        assert mask.shape == (64, 64)
        present = np.unique(mask)
        assert tuple(present[present > 0] - 1) == labels[name]
        assert captions[name]


def test_images_are_the_scenes(tmp_path):
    root = tmp_path / 'toyland'
    write_toyland(root, **SMALL)
    scene = make_scene(FIRST_SEED, 2, 64)
    image = read(root, 'JPEGImages', 'train_00002.jpg')
    assert np.abs(image.astype(int) - scene.image).mean() < 5  # JPEG
    mask = read(root, 'SegmentationClass', 'train_00002.png')
    assert np.array_equal(mask, scene.mask)


def test_more_training_scenes_leave_the_others_alone(tmp_path):
    write_toyland(tmp_path / 'a', **SMALL)
    write_toyland(tmp_path / 'b', **dict(SMALL, train=8))
    for name in ('train_00005', 'val_00002'):
        a, b = (
            (tmp_path / root / f'JPEGImages/{name}.jpg').read_bytes()
            for root in 'ab'
        )
        assert a == b


def test_is_made_once(tmp_path):
    root = tmp_path / 'toyland'
    assert write_toyland(root, **SMALL)
    assert not write_toyland(root, **SMALL)
    with pytest.raises(ValueError, match='toyland is there, but not as asked'):
        write_toyland(root, **dict(SMALL, size=32))


def test_nothing_appears_under_its_name_before_it_is_whole(
    tmp_path, monkeypatch
):
    from mmseg_weakclip.toyland import writer

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, '_run', stop)
    with pytest.raises(KeyboardInterrupt):
        write_toyland(tmp_path / 'toyland', **SMALL)
    assert not (tmp_path / 'toyland').exists()
    monkeypatch.undo()
    assert write_toyland(tmp_path / 'toyland', **SMALL)
    assert not (tmp_path / 'toyland.part').exists()
