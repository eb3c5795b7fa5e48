"""The data of captions, up to a batch, as configs of them will have it."""

import itertools
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import Runner

from mmseg_weakclip.models.samples import captions_of, stack_superpixels


@pytest.fixture
def load(configs):
    def load(name) -> Config:
        return Config.fromfile(configs / f'_base_/datasets/{name}.py')

    return load


@pytest.mark.parametrize(
    ('name', 'size', 'samples', 'cached'),
    [
        ('toyland_captions', 96, 8, ['toyland/superpixels']),
        ('coco_captions', 224, 8, ['coco/superpixels/train2014']),
        (
            'cc3m_coco_captions',
            224,
            5 + 8,
            ['cc3m/superpixels/00000', 'coco/superpixels/train2014'],
        ),
    ],
)
def test_files(load, data, name, size, samples, cached):
    cfg = load(name)
    cfg.train_dataloader.update(
        batch_size=samples, num_workers=0, persistent_workers=False
    )
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    assert len(loader.dataset) == samples
    batch = next(iter(loader))
    shape = (3, size, size)
    assert {tuple(image.shape) for image in batch['inputs']} == {shape}
    ids = stack_superpixels(batch['data_samples'])
    assert (ids.shape, ids.dtype) == ((samples, size, size), torch.int64)
    assert ids.max() > 0
    texts = captions_of(batch['data_samples'])
    assert texts.count('a scene') == 4
    assert 'a photo of 2007_000004' not in texts
    for folder in cached:
        assert list((data / folder).glob('*.jpg.png'))
    assert not list((data / 'toyland/superpixels').glob('2007_000004*'))


def test_shards(load, load_tool, data, repo, monkeypatch):
    """The converter's shards are what the stream's config reads."""
    tool = load_tool('dataset_converters/caption_shards.py')
    for name, count in (('cc3m', 1), ('coco', 2)):
        shutil.rmtree(data / f'{name}_shards')
        config = repo / 'configs/_base_/datasets/coco_captions.py'
        tool.main(
            [
                str(config),
                '--out',
                str(data / f'{name}_shards'),
                '--samples-per-shard',
                str(8 // count),
                '--workers',
                '0',
            ]
        )
    cfg = load('cc3m_shards')
    cfg.train_dataloader.dataset.shards = [
        'cc3m_shards/00000.tar',
        'coco_shards/{00000..00001}.tar',
    ]
    cfg.train_dataloader.update(
        batch_size=16, num_workers=0, persistent_workers=False
    )
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    first, second = itertools.islice(loader, 2)
    for batch in (first, second):
        texts = captions_of(batch['data_samples'])
        assert texts.count('a scene') == 8
        ids = stack_superpixels(batch['data_samples'])
        assert ids.shape == (16, 224, 224)
    names = {
        str(path.parent.relative_to(data / 'shards_superpixels'))
        for path in (data / 'shards_superpixels').rglob('*.png')
    }
    assert names == {
        'cc3m_shards/00000',
        'coco_shards/00000',
        'coco_shards/00001',
    }


@pytest.mark.parametrize(
    'name',
    [
        'toyland_captions',
        'coco_captions',
        'cc3m_coco_captions',
        'cc3m_shards',
    ],
)
def test_validation_has_its_own_truth(load, name):
    """Truth is for scoring: no training pipeline reads any."""
    cfg = load(name)
    assert 'Annotations' not in str(cfg.train_dataloader)
    assert 'Truth' not in str(cfg.train_dataloader)
    dataset = cfg.val_dataloader.dataset
    assert dataset.test_mode
    assert dataset.ann_file.endswith('val.txt')
    Compose(dataset.pipeline)
    assert cfg.val_evaluator.iou_metrics == ['mIoU']
