"""A small weakly labelled set, made from nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.labels.image_labels import ImageLabels

CLASSES = ('background', 'cat', 'dog', 'bird')
SIZES = ((24, 32), (32, 24), (40, 28))
COUNT = 6


@pytest.fixture
def classes() -> tuple[str, ...]:
    return CLASSES


@pytest.fixture
def weak_root(tmp_path) -> Path:
    """Six images ``img0``... of three sizes, with seeds, truth and labels.

    Image i shows class 1 + i % 3; its seed is background above the middle
    and the class below, its truth the same.
    """
    rng = np.random.default_rng(0)
    root = tmp_path / 'weak'
    for folder in ('JPEGImages', 'Seeds', 'Truth'):
        (root / folder).mkdir(parents=True)
    labels = {}
    for i in range(COUNT):
        height, width = SIZES[i % len(SIZES)]
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / f'JPEGImages/img{i}.jpg')
        mask = np.zeros((height, width), np.uint8)
        mask[height // 2 :] = 1 + i % 3
        mask[0] = 255
        for folder in ('Seeds', 'Truth'):
            Image.fromarray(mask).save(root / f'{folder}/img{i}.png')
        labels[f'img{i}'] = (i % 3,)
    lines = '\n'.join(labels)
    (root / 'train.txt').write_text(lines + '\n')
    ImageLabels(CLASSES[1:], labels, '').save(root / 'labels.json')
    return root


@pytest.fixture
def weak_config(weak_root, classes):
    """Config of a data set on ``weak_root``, as a function of changes."""

    def build(**changes) -> dict:
        config = dict(
            type='WeakSegDataset',
            data_root=str(weak_root),
            ann_file='train.txt',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='Seeds'),
            metainfo=dict(classes=classes),
            pipeline=[
                dict(type='LoadColorImage'),
                dict(
                    type='LoadImageLabels',
                    ann_file=str(weak_root / 'labels.json'),
                ),
                dict(type='LoadSeed'),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PhotoMetricDistortion'),
                dict(
                    type='PackSegInputs',
                    meta_keys=('img_id', 'img_path', 'image_labels'),
                ),
            ],
        )
        config.update(changes)
        return config

    return build
