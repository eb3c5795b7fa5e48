"""The last stage: any segmenter on a folder of pseudo masks."""

import argparse
import math

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample

from mmseg_weakclip.apps.commands.arguments import (
    add_common_arguments,
    load_config,
)
from mmseg_weakclip.models.segmenters import resnet38d

# Neither square nor a multiple of 16 or 32.
ROWS, COLUMNS = 56, 88
V1 = 'segmenters/deeplabv1_resnet38d_4xb4-40k_voc12-448x448.py'
V2 = 'segmenters/deeplabv2_r101_2xb10-30k_voc12-321x321.py'
STANDARD = 'segmenters/deeplabv2_r101_1xb5-40k_voc12-321x321.py'
V2_COCO = 'segmenters/deeplabv2_r101_2xb10-80k_coco14-321x321.py'
LINEAR = 'segmenters/linear_dinov2-s14_4xb4-20k_voc12-518x518.py'
TUNED = LINEAR.replace('.py', '_tuned.py')
STRIDES = dict(
    deeplabv1=8,
    deeplabv2=8,
    deeplabv3plus=4,
    fpn=4,
    linear=16,
    segformer=4,
    segmenter=16,
    upernet=4,
)


@pytest.fixture
def build(configs, strip, monkeypatch):
    """A model by its config, with shallow ResNets and without weights."""
    # A narrow ResNet-38, but for the last stage, which the head knows.
    plain = ((3, 4, 4), (3, 5, 5), (6, 6, 6), (3, 6, 8))
    monkeypatch.setattr(resnet38d, 'PLAIN_STAGES', plain)
    monkeypatch.setattr(
        resnet38d, 'BOTTLENECK_STAGES', ((12, 0.3), (4096, 0.5))
    )

    def build(name: str):
        cfg = ConfigDict(
            strip(Config.fromfile(configs / name).model.to_dict())
        )
        if cfg['backbone'].get('depth') == 101:
            cfg['backbone']['depth'] = 50
        # Crops of any shape, for the sake of these tests.
        cfg['data_preprocessor'].update(size=None, size_divisor=8)
        if cfg['backbone']['type'] == 'TIMMBackbone':
            cfg['data_preprocessor'].update(size_divisor=16)
        if 'dinov2' in cfg['backbone'].get('model_name', ''):
            # A ViT with six narrow blocks and patches of 16.
            frozen = 6 if cfg['backbone']['frozen_stages'] else 0
            cfg['backbone'].update(
                model_name='test_vit',
                out_indices=(2, 3, 4, 5),
                frozen_stages=frozen,
            )
            cfg['decode_head']['in_channels'] = [64] * 4
        return MODELS.build(cfg)

    return build


def batch(model, labels=None) -> dict:
    """Two images and masks, as a data loader hands them over."""
    classes = model.decode_head.num_classes
    if labels is None:
        labels = torch.randint(0, classes, (2, ROWS, COLUMNS))
        labels[:, :9] = 255
    samples = []
    for mask in labels:
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=mask[None]),
            metainfo=dict(
                img_shape=(ROWS, COLUMNS), ori_shape=(ROWS, COLUMNS)
            ),
        )
        samples.append(sample)
    images = torch.randint(0, 256, (2, 3, ROWS, COLUMNS), dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


def loss(model, data) -> dict[str, torch.Tensor]:
    return model(**model.data_preprocessor(data, True), mode='loss')


def test_loss_and_prediction(segmenter_config, build):
    model = build(segmenter_config)
    model.train()
    losses = loss(model, batch(model))
    total = sum(value for name, value in losses.items() if 'loss' in name)
    assert 0.1 < total.item() < 50
    total.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(torch.isfinite(p.grad).all() for p in trained)
    model.eval()
    data = model.data_preprocessor(batch(model), False)
    height, width = data['inputs'].shape[-2:]
    with torch.no_grad():
        logits = model(data['inputs'], mode='tensor')
    method = segmenter_config.split('/')[1].split('_')[0].split('-')[0]
    stride = STRIDES[method]
    assert logits.shape[2:] == (
        math.ceil(height / stride),
        math.ceil(width / stride),
    )
    with torch.no_grad():
        (first, _) = model(**data, mode='predict')
    classes = 81 if 'coco14' in segmenter_config else 21
    assert first.seg_logits.data.shape == (classes, ROWS, COLUMNS)


@pytest.mark.parametrize(
    ('mode', 'dtype'), [('whole', None), ('slide', torch.bfloat16)]
)
def test_linear_head_over_images_of_any_size(mode, dtype, build):
    model = build(LINEAR).eval()
    model.test_cfg.update(mode=mode, crop_size=(42, 42), stride=(28, 28))
    images = torch.randn(1, 3, 75, 59)
    meta = dict(img_shape=(75, 59), ori_shape=(75, 59), padding_size=[0] * 4)
    with torch.no_grad(), torch.autocast('cpu', dtype, enabled=bool(dtype)):
        logits = model.inference(images, [meta])
        maps = model.backbone(images)
    assert logits.shape == (1, 21, 75, 59)
    assert torch.isfinite(logits).all()
    # 75 and 59 pixels are nearest to 5 and 4 patches.
    assert {tuple(one.shape) for one in maps} == {(1, 64, 5, 4)}


def test_linear_head_alone_is_trained(build, configs):
    frozen, tuned = (build(LINEAR), build(TUNED))
    names = {n for n, p in frozen.named_parameters() if p.requires_grad}
    assert names == {
        f'decode_head.{part}.{kind}'
        for part in ('norm', 'conv_seg')
        for kind in ('weight', 'bias')
    }
    assert all(p.requires_grad for p in tuned.parameters())
    cfg = Config.fromfile(configs / TUNED).optim_wrapper
    groups = build_optim_wrapper(tuned, cfg).optimizer.param_groups
    found = {
        id(p): (g['lr'], g['weight_decay'])
        for g in groups
        for p in g['params']
    }
    for name, parameter in tuned.named_parameters():
        backbone = name.startswith('backbone')
        table = name.endswith(('pos_embed', 'cls_token'))
        decay = 0.0 if parameter.ndim < 2 or table else 0.01
        rate = 1e-5 if backbone else 1e-4
        assert found[id(parameter)] == pytest.approx((rate, decay)), name


def test_head_of_the_file_says_how(segmenter_config, configs):
    text = (configs / segmenter_config).read_text()
    assert 'tools/train.py THIS --pseudo-masks DIR' in text


def test_schedule_ends_with_the_training(segmenter_config, configs):
    cfg = Config.fromfile(configs / segmenter_config)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_iters
    assert cfg.train_cfg.max_iters % cfg.train_cfg.val_interval == 0
    size = cfg.model.data_preprocessor.size
    (crop,) = (
        t.crop_size
        for t in cfg.train_dataloader.dataset.pipeline
        if t.type == 'RandomCrop'
    )
    assert tuple(crop) == tuple(size)


def test_masks_are_read_with_their_checks(segmenter_config, load_small):
    """Without masks there is no training, with all of them there is."""
    cfg = load_small(segmenter_config)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset.has_seeds
    assert len(dataset) == 4
    cfg.train_dataloader.dataset.data_prefix.seg_map_path = 'nowhere'
    with pytest.raises(FileNotFoundError, match='no seeds at .*nowhere'):
        DATASETS.build(cfg.train_dataloader.dataset)


@pytest.mark.parametrize(
    ('name', 'rates'),
    [
        (V1, {'weight': 5e-2, 'bias': 1e-1, 'backbone': 5e-3}),
        (V2, {'weight': 2.5e-3, 'bias': 5e-3, 'backbone': 2.5e-4}),
    ],
)
def test_learning_rates(name, rates, build, configs):
    """Ten times as much for the head, twenty for the biases of its classes;
    norms of the backbone stay as they are."""
    model = build(name)
    cfg = Config.fromfile(configs / name).optim_wrapper
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    found = {id(p): g['lr'] for g in groups for p in g['params']}
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.startswith('backbone'):
            if parameter.ndim == 1:
                assert id(parameter) not in found
                continue
            kind = 'backbone'
        else:
            last = 'conv_seg' in parameter_name
            bias = last and parameter_name.endswith('bias')
            kind = 'bias' if bias else 'weight'
        assert found[id(parameter)] == pytest.approx(rates[kind])


@pytest.mark.parametrize('name', [V2, V2_COCO, STANDARD])
def test_deeplabv2_is_the_fields(name, configs):
    cfg = Config.fromfile(configs / name)
    assert cfg.model.type == 'MultiScaleSegmentor'
    assert MODELS.get('MultiScaleSegmentor')
    kinds = [t.type for t in cfg.train_dataloader.dataset.pipeline]
    assert 'PhotoMetricDistortion' not in kinds
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    for branch in range(4):
        bias = keys[f'decode_head.conv_seg.{branch}.bias']
        assert bias == dict(lr_mult=20.0, decay_mult=0.0)
    sgd = cfg.optim_wrapper.optimizer
    assert (sgd.lr, sgd.momentum, sgd.weight_decay) == (2.5e-4, 0.9, 5e-4)
    (poly,) = cfg.param_scheduler
    assert (poly.power, poly.eta_min) == (0.9, 0)
    assert cfg.model.backbone.norm_eval
    # The image's own size, one view.
    assert 'Resize' not in [t.type for t in cfg.test_pipeline]


def test_the_standard_segmenter(configs, load_small):
    cfg = Config.fromfile(configs / STANDARD)
    assert cfg.train_dataloader.batch_size == 5
    assert cfg.optim_wrapper.accumulative_counts == 2
    assert cfg.train_cfg.max_iters == 2 * 20000
    choice = cfg.train_dataloader.dataset.pipeline[2]
    factors = [t[0].scale_factor for t in choice.transforms]
    assert factors == [0.5, 0.75, 1, 1.25, 1.5]
    dataset = DATASETS.build(load_small(STANDARD).train_dataloader.dataset)
    sample = dataset[0]
    assert sample['inputs'].shape[1:] == sample['data_samples'].img_shape
    assert max(sample['inputs'].shape[1:]) <= 321


def naive_balanced(logits, labels):
    """As published: each side's mean, whatever there is of it."""
    sides = (labels == 0, (labels > 0) & (labels != 255))
    nll = torch.nn.functional.cross_entropy(
        logits, labels, ignore_index=255, reduction='none'
    )
    return sum(nll[side].mean() for side in sides) / 2


@pytest.mark.parametrize('present', [[0], [7], [255], [0, 255], [0, 3]])
def test_balanced_loss_is_finite_whatever_a_batch_shows(build, present):
    """Some images of COCO show no object, and crops often do not."""
    model = build(V2_COCO.replace('.py', '_balanced-ce.py')).train()
    choice = torch.tensor(present)
    index = torch.randint(0, len(present), (2, ROWS, COLUMNS))
    data = batch(model, choice[index])
    losses = loss(model, data)
    value = losses['decode.loss_ce']
    assert torch.isfinite(value)
    value.backward()
    for branch in model.decode_head.conv_seg:
        assert torch.isfinite(branch.weight.grad).all()
    # What it would be as published.
    logits = torch.randn(2, 81, ROWS, COLUMNS)
    naive = naive_balanced(logits, choice[index])
    ours = model.decode_head.loss_decode(
        logits, choice[index], ignore_index=255
    )
    if set(present) - {255} == {0, 3}:
        assert torch.allclose(ours, naive)
    else:
        assert torch.isnan(naive)
        assert torch.isfinite(ours)


def test_balanced_loss_by_one_option(segmenter_config, configs, monkeypatch):
    """As a config's comment says it, for every decode head."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    prefix = 'model.decode_head.loss_decode'
    options = [f'{prefix}._delete_=True', f'{prefix}.type=BalancedCELoss']
    comment = (configs / V2.replace('.py', '_balanced-ce.py')).read_text()
    assert all(option in comment for option in options)
    path = str(configs / segmenter_config)
    args = parser.parse_args([path, '--cfg-options', *options])
    head = load_config(args).model.decode_head
    assert head.loss_decode == dict(type='BalancedCELoss')


def test_ignored_pixels_do_not_thin_the_loss(build):
    """Half the pixels or all of them, the mean is that of the known ones."""
    model = build('segmenters/fpn-small_r18_1xb16-3k_voc12-128x128.py')
    loss_decode = model.decode_head.loss_decode
    logits = torch.randn(1, 21, 6, 8)
    labels = torch.randint(0, 21, (1, 6, 8))
    labels[:, :3] = 255
    known = loss_decode(logits[:, :, 3:], labels[:, 3:], ignore_index=255)
    half = loss_decode(logits, labels, ignore_index=255)
    assert torch.allclose(half, known)
    nothing = loss_decode(
        logits, torch.full_like(labels, 255), ignore_index=255
    )
    assert nothing == 0
