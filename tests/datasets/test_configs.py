import copy

import pytest
from mmseg.registry import DATASETS

from mmseg_weakclip.datasets.configs import (
    disable_mask_check,
    iter_base_datasets,
    use_masks_of,
)


@pytest.fixture
def masks(weak_root):
    """The seeds again, in a folder as our writers leave it."""
    (weak_root / 'out').mkdir()
    (weak_root / 'Seeds').rename(weak_root / 'out/masks')
    return weak_root / 'out'


def wrap(config: dict, kind: str) -> dict:
    if kind == 'RepeatDataset':
        return dict(type=kind, times=2, dataset=config)
    if kind == 'ConcatDataset':
        return dict(type=kind, datasets=[config, copy.deepcopy(config)])
    if kind == 'both':
        return wrap(wrap(config, 'ConcatDataset'), 'RepeatDataset')
    if kind == 'MultiImageMixDataset':
        return dict(type=kind, dataset=config, pipeline=[])
    return config


@pytest.mark.parametrize(
    ('kind', 'length'),
    [
        ('none', 6),
        ('RepeatDataset', 12),
        ('ConcatDataset', 12),
        ('both', 24),
        ('MultiImageMixDataset', 6),
    ],
)
def test_masks_of_any_nesting(weak_config, masks, kind, length):
    config = wrap(weak_config(), kind)
    with pytest.raises(FileNotFoundError, match='no seeds'):
        DATASETS.build(copy.deepcopy(config))
    assert use_masks_of(config, masks) == masks / 'masks'
    dataset = DATASETS.build(config)
    assert len(dataset) == length
    sample = dataset[0]['data_samples']
    assert set(sample.gt_sem_seg.data.flatten().tolist()) == {0, 1, 255}
    assert sample.img_path.endswith('JPEGImages/img0.jpg')


def test_images_stay_where_they_are(weak_config, masks):
    config = weak_config()
    use_masks_of(config, masks)
    assert config['data_prefix'] == dict(
        img_path='JPEGImages', seg_map_path=str(masks / 'masks')
    )


@pytest.mark.parametrize(
    'loader',
    [
        dict(type='LoadSeed'),
        dict(type='mmseg_weakclip.LoadSeed'),
        dict(type='LoadAnnotations'),
        dict(type='RandomApply', transforms=[dict(type='LoadSeed')]),
    ],
)
def test_loaders_of_masks(masks, loader):
    config = dict(type='PascalVOCDataset', pipeline=[loader])
    use_masks_of(config, masks)
    assert config['data_prefix'] == dict(seg_map_path=str(masks / 'masks'))


def test_only_readers_are_told(weak_config, masks):
    plain = dict(type='WeakSegDataset', pipeline=[dict(type='LoadColorImage')])
    config = dict(type='ConcatDataset', datasets=[plain, weak_config()])
    use_masks_of(config, masks)
    first, second = iter_base_datasets(config)
    assert 'data_prefix' not in first
    assert second['data_prefix']['seg_map_path'] == str(masks / 'masks')


@pytest.mark.parametrize('loader', ['LoadColorImage', 'LoadTruthIfPresent'])
def test_a_set_that_reads_no_masks(masks, loader):
    config = dict(type='WeakSegDataset', pipeline=[dict(type=loader)])
    before = copy.deepcopy(config)
    with pytest.raises(
        ValueError, match=r'training set \(WeakSegDataset\) reads no masks'
    ):
        use_masks_of(config, masks)
    assert config == before


def test_without_mask_check(weak_config, weak_root):
    (weak_root / 'Seeds/img3.png').unlink()
    config = wrap(weak_config(), 'both')
    with pytest.raises(FileNotFoundError, match=r'img3\.png'):
        DATASETS.build(copy.deepcopy(config))
    disable_mask_check(config)
    assert len(DATASETS.build(config)) == 24
    stock = dict(type='PascalVOCDataset')
    disable_mask_check(stock)
    assert stock == dict(type='PascalVOCDataset')
