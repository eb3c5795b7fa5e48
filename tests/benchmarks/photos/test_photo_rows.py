"""The benchmark of photos: its rows, its page, its choice by tags."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from photo_data import write_user_data
from photo_report import cell, gain_table, report, run_table
from photo_rows import VIEWS, Maps, map_rows, segmenter_rows
from PIL import Image
from steps import write_tables
from tag_threshold import THRESHOLDS, marked_regions, region_gain
from torch.nn import ModuleList

from mmseg_weakclip.models.refine.dense_crf import dense_crf

PHOTOS = 'configs/cam/cam_lite0_photos.py'


def test_rows_differ_in_what_they_say():
    rows = [*map_rows(), *segmenter_rows()]
    assert len({row.name for row in rows}) == len(rows)
    made = [str((row.maps, row.refine, row.regions)) for row in map_rows()]
    assert len(set(made)) == len(made)
    for row in map_rows():
        assert ('CRF' in row.name) == ('--crf' in row.refine)
        assert ('vote' in row.name) == bool(row.regions)


def test_settings_of_maps_are_those_of_the_head(repo):
    for row in map_rows():
        cfg = Config.fromfile(repo / PHOTOS)
        cfg.merge_from_dict({**row.maps.training, **row.maps.test})
        cfg.model.backbone.pretrained = None
        head = MODELS.build(cfg.model).decode_head
        assert bool(head.importance_weight) == ('importance' in row.name)
        assert bool(head.correlation) == ('correlation' in row.name)
        assert bool(head.propagation) == ('propagation' in row.name)


def test_views_are_those_of_the_config(repo):
    cfg = Config.fromfile(repo / PHOTOS)
    (resizes, *_) = cfg.tta_pipeline[-1].transforms
    assert tuple(step.scale[0] for step in resizes) == VIEWS[Maps().views]
    threshold = cfg.model.decode_head.background.threshold
    assert threshold in THRESHOLDS


def test_settings_of_segmenters(repo):
    found = {}
    for row in segmenter_rows():
        cfg = Config.fromfile(
            repo / 'configs/segmenters/fpn_lite0_1xb16-6k_voc12-256x256.py'
        )
        cfg.merge_from_dict(row.training)
        cfg.model.backbone.pretrained = None
        model = MODELS.build(cfg.model)
        trained = any(p.requires_grad for p in model.backbone.parameters())
        head = model.decode_head
        losses = (
            head.loss_decode
            if isinstance(head.loss_decode, ModuleList)
            else [head.loss_decode]
        )
        if getattr(head, 'seed_loss', None) is not None:
            losses = [*losses, head.seed_loss]
        (loss,) = losses
        boundary = getattr(head, 'boundary_loss', None) is not None
        assert ('half' in row.name) == (row.sure_share == 0.5)
        found[row.name] = (trained, type(loss).__name__, boundary)
        assert ('second' in row.name) == (row.masks == 'masks_2')
        two = type(model).__name__ == 'CrossLabelSegmentor'
        assert ('BECO' in row.name) == two
        assert ('flips' in row.name) == row.ignore_flips
        pipelines = [
            cfg[f'{split}_dataloader'].dataset.pipeline
            for split in ('train', 'test')
        ]
        sides = {
            step['scale'][1]
            for pipeline in pipelines
            for step in pipeline
            if 'Resize' in step['type']
        }
        assert sides == ({384} if '384' in row.name else {256})
    assert list(found.values()) == [
        (True, 'CrossEntropyLoss', False),
        (False, 'CrossEntropyLoss', False),
        (True, 'CAMSeedLoss', False),
        (True, 'CrossEntropyLoss', True),
        (True, 'CAMSeedLoss', True),
        (True, 'SelfTargetLoss', False),
        *[(True, 'CrossEntropyLoss', False)] * 2,
        (True, 'SelfTargetLoss', False),
        *[(True, 'CrossEntropyLoss', False)] * 4,
    ]


def test_gain_of_regions_by_hand():
    """Found inside and not outside, on a tenth: (1 + 1) / 2 - .1."""
    inside = torch.tensor([[True, True, False]])
    outside = torch.tensor([[False, True, True]])
    area = torch.tensor([[0.1, 0.5, 0.1]])
    gains = region_gain(inside, outside, area)
    assert torch.allclose(gains, torch.tensor([0.9, 0.0, -0.1]))
    # All, or nothing, tells no more than its size.
    whole = region_gain(
        torch.tensor([[True, False]]),
        torch.tensor([[False, True]]),
        torch.tensor([[1.0, 0.0]]),
    )
    assert whole.tolist() == [0, 0]


@pytest.mark.parametrize('crf', ['', 'voc12'])
def test_marked_regions(crf):
    """Pixels above each threshold; behind the CRF, of the best plane."""
    torch.manual_seed(0)
    scores = torch.rand(4, 12, 16)
    image = torch.randint(0, 256, (3, 12, 16), dtype=torch.uint8)
    found = marked_regions(scores, image, (1, 3), crf)
    assert found.shape == (2, len(THRESHOLDS), 12, 16)
    for place, threshold in enumerate(THRESHOLDS):
        own = scores[[1, 3]]
        expected = own > threshold
        if crf:
            floor = torch.full((1, 12, 16), threshold)
            planes = torch.cat([floor, own])[None]
            best = dense_crf(image[None], planes, crf)[0].argmax(0)
            expected = torch.stack([best == 1, best == 2])
        assert found[:, place].equal(expected)


def test_masks_of_six_classes(tmp_path):
    """Other classes of VOC do not count, and are no tags."""
    source = tmp_path / 'animals'
    for name in 'ImageSets/Segmentation', 'SegmentationClass':
        (source / name).mkdir(parents=True)
    (source / 'ImageSets/Segmentation/train.txt').write_text('a\n')
    (source / 'ImageSets/Segmentation/val.txt').write_text('b\n')
    labels = {'a': ['cat', 'sofa'], 'b': ['person', 'dog']}
    (source / 'image_labels.json').write_text(json.dumps(labels))
    masks = {'a': [[0, 8, 18, 255]], 'b': [[12, 15, 0, 0]]}
    for name, mask in masks.items():
        image = Image.fromarray(np.array(mask, np.uint8))
        image.save(source / f'SegmentationClass/{name}.png')
    flags = write_user_data(source, tmp_path / 'user')
    user = dict(zip(flags[::2], flags[1::2]))
    assert (tmp_path / 'user/tags.csv').read_text().splitlines() == [
        'image,tags', 'a.jpg,cat', 'b.jpg,person;dog'
    ]  # fmt: skip
    truth = {
        name: np.asarray(Image.open(f'{user["--truth"]}/{name}.png')).tolist()
        for name in masks
    }
    assert truth == {'a': [[0, 1, 255, 255]], 'b': [[3, 5, 0, 0]]}
    assert user['--images'] == str(source / 'JPEGImages')
    (source / 'JPEGImages').mkdir()
    for name in masks:
        (source / f'JPEGImages/{name}.jpg').write_text(name)
    flags = write_user_data(source, tmp_path / 'few', 1)
    few = tmp_path / 'few/photos'
    assert dict(zip(flags[::2], flags[1::2]))['--images'] == str(few)
    assert sorted(path.name for path in few.iterdir()) == ['a.jpg', 'b.jpg']


@pytest.mark.parametrize(
    ('values', 'text'),
    [([None], ''), ([50.0], '50.0'), ([48.0, 52.0], '50.0 ± 2.0')],
)
def test_cell(values, text):
    assert cell(values) == text


def made_run(shift):
    def score(value):
        return dict(mIoU=value + shift, IoU=dict(a=value + shift))

    roles = {
        'masks': dict(val=score(40.0), train=score(41.0)),
        'masks_2': dict(val=score(45.0)),
        'predictions': dict(val=score(43.0)),
    }
    return dict(
        scores=roles,
        gib=2.0 + shift,
        minutes=dict(cam=3.0, masks=1.0),
        protocol=dict(mIoU_single=50.0 + shift, mIoU_multi_crf=52.0 + shift),
    )


def test_page():
    runs = [made_run(0.0), made_run(2.0)]
    table = run_table(runs)
    assert '| pseudo masks | 42.0 ± 1.0 | 41.0 ± 1.0 | 1.0 ± 0.0 |' in table
    assert '| the classifier |  |  | 3.0 ± 0.0 |' in table
    # Nothing is known of it.
    assert 'second segmenter' not in table
    maps = map_rows()
    maps[0].results = [dict(val=50.0, minutes=2.0)]
    gains = {'CAM': {0.3: 0.4, 0.4: 0.5}}
    assert '| CAM | 0.400 | **0.500** |' in gain_table(gains)
    text = report(runs, maps, [], gains, 'a machine', trial=True)
    assert f'| {maps[0].name} | 50.0 | 2.0 |' in text
    assert maps[1].name not in text
    assert '4.0 GiB' in text
    assert 'mean nothing' in text
    assert '| single view | 51.0 ± 1.0 |' in text
    assert '| multi-scale + flip + CRF | 53.0 ± 1.0 |' in text
    assert 'single view + CRF' not in text
    # Only what there is.
    assert '## Segmenters' not in text
    few = report(runs, map_rows(), [], {}, 'a machine', trial=False)
    assert [line for line in few.splitlines() if line.startswith('## ')] == [
        '## The one command'
    ]


def test_tables_go_between_the_marks(tmp_path):
    page = tmp_path / 'page.md'
    write_tables(page, 'one')
    page.write_text(f'# Title\n\n{page.read_text()}\nThe end.\n')
    write_tables(page, 'two')
    text = page.read_text()
    assert text.startswith('# Title\n')
    assert text.endswith('\nThe end.\n')
    assert 'two' in text
    assert 'one' not in text
    page.write_text('no marks')
    with pytest.raises(SystemExit, match='lacks the marks'):
        write_tables(page, 'three')
