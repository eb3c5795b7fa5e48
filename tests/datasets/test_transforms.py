import json

import numpy as np
import pytest
from mmcv.transforms import RandomApply, RandomFlip
from mmengine.dataset import Compose
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_weakclip.datasets.transforms import (
    LoadColorImage,
    LoadImageLabels,
    find_transform,
)

CLASSES = ('background', 'cat', 'dog')


@pytest.fixture
def labels_file(tmp_path) -> str:
    path = tmp_path / 'labels.json'
    data = {'a': ['dog', 'cat'], 'b': ['cat'], 'empty': []}
    path.write_text(json.dumps(data))
    return str(path)


def sample(image_id: str = 'a', **fields) -> dict:
    return dict(img_path=f'folder/{image_id}.jpg', **fields)


def test_labels_are_sorted_ids_of_the_classes(labels_file):
    transform = TRANSFORMS.build(
        dict(type='LoadImageLabels', ann_file=labels_file)
    )
    results = transform(sample(classes=CLASSES))
    assert results['image_labels'] == (1, 2)
    assert transform(sample('b', classes=CLASSES))['image_labels'] == (1,)


def test_ids_follow_the_order_and_the_background(labels_file):
    transform = LoadImageLabels(labels_file)
    turned = transform(sample('b', classes=('background', 'dog', 'cat')))
    assert turned['image_labels'] == (2,)
    without = transform(sample('a', classes=('cat', 'ox', 'dog')))
    assert without['image_labels'] == (0, 2)


def test_own_classes_serve_stock_datasets(labels_file, tmp_path):
    transform = LoadImageLabels(labels_file, classes=CLASSES)
    assert transform(sample())['image_labels'] == (1, 2)
    voc = LoadImageLabels(labels_file, classes='voc')
    assert voc(sample())['image_labels'] == (8, 12)
    with pytest.raises(ValueError, match="'vok'.*'voc'"):
        LoadImageLabels(labels_file, classes='vok')
    with pytest.raises(ValueError, match=r'labels\.json.*give classes='):
        LoadImageLabels(labels_file)(sample())


def test_missing_and_empty_labels(labels_file):
    transform = LoadImageLabels(labels_file, classes=CLASSES)
    with pytest.raises(ValueError, match=r"labels\.json has no labels.*'z'"):
        transform(sample('z'))
    with pytest.raises(ValueError, match=r"'empty' no class.*allow_empty"):
        transform(sample('empty'))
    tolerant = LoadImageLabels(labels_file, CLASSES, allow_empty=True)
    assert tolerant(sample('empty'))['image_labels'] == ()


def test_file_errors(labels_file, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.json'):
        LoadImageLabels(str(tmp_path / 'gone.json'), CLASSES)(sample())
    with pytest.raises(ValueError, match="'dog'"):
        LoadImageLabels(labels_file, ('background', 'cat'))(sample('b'))


def test_masks_are_no_image_labels(tmp_path):
    Image.new('L', (4, 4), 1).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='may not read'):
        LoadImageLabels(str(tmp_path), CLASSES)(sample())


def test_file_is_opened_at_the_first_image_and_once(labels_file, monkeypatch):
    opened = []
    original = LoadImageLabels.load.__globals__['cached_image_labels']
    monkeypatch.setitem(
        LoadImageLabels.load.__globals__,
        'cached_image_labels',
        lambda *args: opened.append(args) or original(*args),
    )
    transform = LoadImageLabels(labels_file, CLASSES)
    assert opened == []
    for _ in range(3):
        transform(sample())
    assert len(opened) == 1


def test_load_color_image(tmp_path):
    path = str(tmp_path / 'grey.png')
    Image.fromarray(np.full((5, 7), 9, np.uint8)).save(path)
    results = LoadColorImage()({'img_path': path})
    assert results['img'].tolist() == np.full((5, 7, 3), 9).tolist()
    assert results['img_shape'] == results['ori_shape'] == (5, 7)


def test_find_transform_looks_into_wrappers(labels_file):
    labels = LoadImageLabels(labels_file)
    nested = Compose([RandomFlip(prob=0.5), RandomApply([labels])])
    assert find_transform(nested, LoadImageLabels) is labels
    assert find_transform(nested, LoadColorImage) is None
    views = dict(
        type='TestTimeAug',
        transforms=[[dict(type='LoadImageLabels', ann_file=labels_file)]],
    )
    assert find_transform(Compose([views]), LoadImageLabels) is not None


def test_labels_of_some_of_the_classes(tmp_path):
    """Those of others are left out; ids follow the data set's order."""
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(dict(a=['cat', 'car'], b=['car'], c=['dog'])))
    classes = ('background', 'dog', 'cat')
    load = LoadImageLabels(str(path), subset_of='voc', allow_empty=True)
    found = {name: load.labels_of(name, classes) for name in 'abc'}
    assert found == dict(a=(2,), b=(), c=(1,))
    load = LoadImageLabels(str(path), subset_of='voc')
    with pytest.raises(ValueError, match="gives image 'b' no class"):
        load.labels_of('b', classes)
    with pytest.raises(ValueError, match=r"\['cow', 'yak'\] not among them"):
        LoadImageLabels(str(path), subset_of=['cat', 'car', 'dog']).load(
            ('yak', 'cow')
        )
    with pytest.raises(ValueError, match="Unknown class list 'vok'"):
        LoadImageLabels(str(path), subset_of='vok')
