"""COCO's two class lists, from the masks to the loss."""

import math

import pytest
from mmseg.registry import DATASETS

MAIN = 'weakclip/weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512.py'


@pytest.mark.parametrize(
    ('name', 'stop_sign', 'toothbrush'),
    [(MAIN, 12, 80), (MAIN.replace('.py', '_91way.py'), 13, 90)],
)
def test_seeds_are_mapped(name, stop_sign, toothbrush, load_small):
    """Contiguous seeds, as the configs of seeds write them."""
    dataset = DATASETS.build(load_small(name).train_dataloader.dataset)
    assert dataset.mask_encoding == 'contiguous'
    assert dataset.label_map[12] == stop_sign
    assert dataset.label_map[80] == toothbrush
    sample = dataset.get_data_info(1)
    for load in dataset.pipeline.transforms[:2]:
        sample = load(sample)
    # Seeds 11, 12 and 14: fire hydrant, stop sign and bench.
    assert set(sample['gt_seg_map'].flat) == {
        0,
        11,
        stop_sign,
        stop_sign + 2,
    }
    names = [dataset.metainfo['classes'][i] for i in (11, stop_sign)]
    assert names == ['fire hydrant', 'stop sign']


def test_real_images(load_small, train, coco_root):
    """81 classes, crowds left out of the seeds."""
    cfg = load_small(MAIN, once=True)
    cfg.train_dataloader.dataset.update(
        data_root=str(coco_root),
        ann_file='ImageSets/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass_coco80'
        ),
    )
    runner, witness = train(cfg)
    (losses,) = witness.losses
    assert all(math.isfinite(value) for value in losses.values())
    assert runner.model.decode_head.num_classes == 81
    assert runner.train_dataloader.dataset.mask_encoding == 'contiguous'
