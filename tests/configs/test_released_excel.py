"""ExCEL, WeCLIP and CLIP-ES: what is published, value by value."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import PARAM_SCHEDULERS

from mmseg_weakclip.common.names import COCO_NAMES, VOC_NAMES
from mmseg_weakclip.models.clip.vocabulary import resolve_names
from mmseg_weakclip.models.refine.crf_params import resolve_crf_params

EXCEL_VOC = 'excel_vit-b16_1xb4-30k_voc12-320x320'
EXCEL_COCO = 'excel_vit-b16_1xb4-100k_coco14-320x320'
WECLIP_VOC = 'weclip_vit-b16_1xb4-30k_voc12-320x320'
WECLIP_COCO = 'weclip_vit-b16_1xb4-80k_coco14-320x320'
TRAINED = [EXCEL_VOC, EXCEL_COCO, WECLIP_VOC, WECLIP_COCO]
HEADS = (1, 12, 12, 12, 12, 12)


@pytest.fixture
def load(configs):
    def load(name, folder='excel'):
        init_default_scope('mmseg')
        return Config.fromfile(configs / folder / f'{name}.py')

    return load


@pytest.mark.parametrize(
    ('name', 'warm_up', 'length', 'rate'),
    [
        (EXCEL_VOC, 50, 30_000, 1e-3),
        (EXCEL_COCO, 200, 100_000, 1e-3),
        (WECLIP_VOC, 50, 30_000, 2e-3),
        (WECLIP_COCO, 50, 80_000, 2e-3),
    ],
)
@pytest.mark.parametrize('form', ['', '_released'])
def test_learning_rates(load, name, form, warm_up, length, rate):
    """it / n of the rate in the warm-up, 1 - it / length of it afterwards."""
    cfg = load(name + form)
    assert cfg.train_cfg.max_iters == length
    assert cfg.optim_wrapper.optimizer.lr == rate
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
        for scheduler in cfg.param_scheduler
    ]
    # All of the warm-up and of what follows, and the end.
    for it in range(length):
        expected = 1 - it / length
        if it < warm_up:
            expected = 1 - (1 - it / warm_up) * (1 - 1e-6)
        found = optimizer.param_groups[0]['lr'] / rate
        assert found == pytest.approx(expected, rel=1e-6), it
        if it == 2 * warm_up:
            break
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    constant, poly = cfg.param_scheduler[1:]
    assert (poly.begin, poly.end, poly.power) == (warm_up, length + 1, 1)
    # Without an end the runner would give it the training's, and take the
    # factor back in the last iteration.
    assert constant.end == poly.end


@pytest.mark.parametrize('name', TRAINED)
def test_training_images_around_their_own_size(load, name):
    """By default, too; of COCO's as of VOC's."""
    for form in ('', '_released'):
        pipeline = load(name + form).train_dataloader.dataset.pipeline
        (rescale,) = (t for t in pipeline if 'ratio_range' in t)
        assert rescale == dict(type='RandomRescale', ratio_range=(0.5, 2.0))
        # Pixel truth has no part in the crop.
        for transform in pipeline:
            assert transform.get('cat_max_ratio', 1) == 1


@pytest.mark.parametrize('name', TRAINED)
def test_released_crops(load, name, monkeypatch):
    """Black before the normalisation, at any place, and part of the image."""
    cfg = load(f'{name}_released')
    placement, flip = cfg.train_dataloader.dataset.pipeline[3:5]
    pipeline = Compose([placement])
    np.random.seed(3)  # noqa: NPY002  (what the transforms of mmcv use)
    corners = set()
    for _ in range(20):
        image = np.full((200, 310, 3), 255, np.uint8)
        results = pipeline(dict(img=image, img_shape=image.shape[:2]))
        assert results['img'].shape == (320, 320, 3)
        assert results['img_shape'] == (320, 320)
        rows, columns = np.nonzero(results['img'][..., 0])
        assert len(rows) == 200 * 310
        assert set(np.unique(results['img'])) == {0, 255}
        corners.add((rows.min(), columns.min()))
    assert len(corners) > 10
    assert flip == dict(type='RandomFlip', prob=0.5)


def views(cfg, shape=(375, 500)):
    """Height, width and flip of each view of an image."""
    loads = [t for t in cfg.tta_pipeline if t['type'] == 'TestTimeAug']
    loads[0]['transforms'][2:] = []
    image = np.zeros((*shape, 3), np.uint8)
    results = Compose(loads)(dict(img=image, img_shape=shape, ori_shape=shape))
    return [
        (*size, bool(flip))
        for size, flip in zip(results['img_shape'], results['flip'])
    ]


def square(*sides):
    return [(side, side) for side in sides]


@pytest.mark.parametrize(
    ('name', 'sizes', 'without_flip'),
    [
        (f'{EXCEL_VOC}_released', square(224, 320, 384, 480), (320, 320)),
        (f'{EXCEL_COCO}_released', square(224, 320, 384, 480), None),
        (f'{WECLIP_VOC}_released', [(384, 512), (288, 384)], None),
        (f'{WECLIP_COCO}_released', [(384, 512), (288, 384)], None),
        (EXCEL_VOC, square(224, 320, 384, 480), None),
    ],
)
def test_views(load, name, sizes, without_flip):
    expected = [
        (*size, flip)
        for size in sizes
        for flip in (False, True)
        if not (flip and size == without_flip)
    ]
    cfg = load(name)
    assert views(cfg) == expected
    assert cfg.tta_model.activation == 'none'
    (resize,) = (
        t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize'
    )
    whole = name.startswith('weclip')
    assert resize.scale == ((512, 512) if whole else (320, 320))
    assert resize.keep_ratio == whole


def test_released_crf(load):
    """ExCEL on COCO: logits at a fifth of the size, then 3/1 and 4/67/3."""
    cfg = load(f'{EXCEL_COCO}_released')
    assert cfg.tta_model.average_scale == 0.2
    assert cfg.test_evaluator == dict(
        type='ProtocolMetric', crf='excel', fused='logits'
    )
    for name in (WECLIP_VOC, WECLIP_COCO):
        for form in ('', '_released'):
            assert load(name + form).protocol.crf == 'weclip'
    presets = {name: resolve_crf_params(name) for name in ('excel', 'weclip')}
    for name, expected in (
        ('excel', (3, 1, 4, 67, 3)),
        ('weclip', (3, 3, 4, 64, 5)),
    ):
        crf = presets[name]
        assert expected == (
            crf.gaussian_compat,
            crf.gaussian_sxy,
            crf.bilateral_compat,
            crf.bilateral_sxy,
            crf.bilateral_srgb,
        )
        assert crf.iterations == 10


@pytest.mark.parametrize('name', [EXCEL_VOC, EXCEL_COCO])
def test_released_maps_of_excel(load, name):
    head = load(f'{name}_released').model.decode_head
    maps = head.class_maps
    assert maps.affinity.layer_weights == HEADS
    assert maps.affinity.published_boxes
    assert maps.affinity.box_threshold == (0.88 if 'coco' in name else 0.79)
    assert maps.norm_axis == 'token'
    assert maps.class_token_extremes
    assert maps.min_support is None
    assert head.relation == dict(beta=1, gamma=3, mean='batch')


@pytest.mark.parametrize(
    ('name', 'threshold', 'start'),
    [(WECLIP_VOC, 0.4, 9145), (WECLIP_COCO, 0.7, 40_000)],
)
def test_released_maps_of_weclip(load, name, threshold, start):
    head = load(f'{name}_released').model.decode_head
    affinity = head.class_maps.affinity
    assert affinity.published_boxes
    assert affinity.box_threshold == threshold
    assert 'layer_filter' not in affinity
    assert head.dynamic_start == start


@pytest.mark.parametrize('data', ['voc12', 'coco14'])
def test_released_boxes_of_clip_es(load, data):
    cfg = load(f'clipes_vit-b16_{data}_released', 'clipes')
    threshold = 0.4 if data == 'voc12' else 0.7
    assert cfg.model.decode_head.affinity == dict(
        box_threshold=threshold, published_boxes=True
    )


def test_released_training_free(load):
    cfg = load('training_free_voc12_released')
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.mean == [123.675, 116.28, 103.53]
    assert preprocessor.std == [58.395, 57.12, 57.375]
    head = cfg.model.decode_head
    assert head.affinity == dict(
        box_threshold=0.79, layer_weights=HEADS, published_boxes=True
    )
    assert head.norm_axis == 'token'
    assert head.class_token_extremes
    dataset = cfg.test_dataloader.dataset
    assert dataset.ann_file.endswith('Segmentation/train.txt')
    assert dataset.pipeline[2] == dict(
        type='Resize', scale=(320, 320), keep_ratio=False
    )
    assert cfg.test_evaluator.colors == 'input'
    assert cfg.test_evaluator.par == {}
    assert cfg.test_evaluator.crf is None


def spoken(cfg, names):
    text = cfg.model.decode_head.text
    return dict(
        zip(names, resolve_names(names, text.get('text', text).aliases))
    )


@pytest.mark.parametrize(
    ('name', 'folder'),
    [
        (EXCEL_COCO, 'excel'),
        (WECLIP_COCO, 'excel'),
        ('clipes_vit-b16_coco14', 'clipes'),
    ],
)
def test_names_of_coco(load, name, folder):
    """As the published prompts spell them, slip and all; ours in English."""
    ours = spoken(load(name, folder), COCO_NAMES)
    published = spoken(load(f'{name}_released', folder), COCO_NAMES)
    differ = {
        key: words for key, words in published.items() if words != ours[key]
    }
    assert differ == {
        'motorcycle': ('motorbike',),
        'airplane': ('aeroplane',),
        'snowboard': ('sknowboard',),
        'couch': ('sofa',),
        'potted plant': ('pottedplant',),
        'dining table': ('diningtable',),
    }
    assert ours['snowboard'] == ('snowboard',)
    assert published['tv'] == ('tvmonitor screen',)
    assert published['person'] == ('person with clothes,people,human',)


def test_names_of_voc(load):
    names = spoken(load(f'{EXCEL_VOC}_released'), VOC_NAMES)
    assert names['bird'] == ('bird avian',)
    assert names['diningtable'] == ('diningtable',)
