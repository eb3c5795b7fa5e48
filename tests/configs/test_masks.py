"""Every config of seeds or pseudo masks writes them, with truth or without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def test_without_truth(masks_config, make_masks):
    check_masks(*make_masks(masks_config))


def test_several_views_without_truth(views_config, make_masks):
    check_masks(*make_masks(views_config, tta=True))


def check_masks(runner, masks, scores):
    assert scores == {}
    (log,) = Path(runner.log_dir).glob('*.log')
    assert 'no truth to score them with' in log.read_text()
    dataset = runner.test_dataloader.dataset
    assert set(masks) == {dataset.get_data_info(i)['img_id'] for i in (0, 1)}
    file = Path(dataset.data_root, 'image_labels.json')
    labels = json.loads(file.read_text())['labels']
    classes = dataset.metainfo['classes']
    for name, mask in masks.items():
        assert mask.shape == (72, 96)
        ids = set(np.unique(mask).tolist())
        if runner.cfg.test_evaluator.get('min_score'):
            ids.discard(255)  # too unsure
        found = {classes[i] for i in ids}
        assert found <= {'background', *labels[name]}


@pytest.mark.parametrize(
    ('name', 'root', 'truth'),
    [
        (
            'seeds/patch-text_vit-b16-excel_voc12.py',
            'VOCdevkit/VOC2012',
            'SegmentationClassAug',
        ),
        ('toyland/seeds.py', 'toyland', 'SegmentationClass'),
    ],
)
def test_truth_is_scored(name, root, truth, make_masks, data):
    shutil.copytree(data / root / 'spare/masks', data / root / truth)
    _, masks, scores = make_masks(name)
    assert len(masks) == 2
    assert 0 < scores['pseudo_mask/raw_mIoU'] < 100


def test_either_encoding_of_coco_scores_the_same(make_masks, data):
    """Masks in COCO's own ids: 9 to 11 stay, 12 and on are one further."""
    root = data / 'coco14'
    name = 'seeds/patch-text_vit-b16-excel_coco14.py'
    shutil.copytree(root / 'spare/masks', root / 'class_labels')
    runner, _, contiguous = make_masks(name)
    assert runner.test_dataloader.dataset.mask_encoding == 'contiguous'
    shutil.rmtree(root / 'seeds')
    for path in (root / 'class_labels').iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(mask + (mask >= 12).astype(np.uint8)).save(path)
    runner, _, coco91 = make_masks(name)
    assert runner.test_dataloader.dataset.mask_encoding == 'coco91'
    assert contiguous == coco91
    assert 0 < coco91['pseudo_mask/raw_mIoU'] < 100
