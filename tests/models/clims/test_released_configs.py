"""The released configs of CLIMS have the published values."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.models.cam.classifier import CAMHead
from mmseg_weakclip.models.clims.background_lists import background_lists
from mmseg_weakclip.models.clims.critic import mask_regions, normalize_images

CAM = 'cam/cam_r50_1xb16-5e_voc12-512x512_released'
VOC = 'clims/clims_r50_1xb16-15e_voc12-512x512_released'
COCO = 'clims/clims_r50_2xb16-8e_coco14-512x512_released'
PLUS = 'clims/clims-plus_r50_1xb16-15e_voc12-512x512_released'
CAMERA_READY = 'clims/clims_r50_1xb16-10e_voc12-512x512_camera-ready'
ALL = pytest.mark.parametrize('name', [CAM, VOC, COCO, PLUS, CAMERA_READY])
CLIMS = pytest.mark.parametrize('name', [VOC, COCO, PLUS, CAMERA_READY])


@ALL
def test_images(name):
    """Long side 320 to 640 by Pillow, flip, random place on exact zeros."""
    cfg = read_config(name)
    *_, resize, flip, place, _ = cfg.train_dataloader.dataset.pipeline
    pillow = dict(backend='pillow', interpolation='bicubic', keep_ratio=True)
    assert resize == dict(
        type='RandomResize', scale=(640, 640), ratio_range=(0.5, 1), **pillow
    )
    assert flip == dict(type='RandomFlip', prob=0.5)
    assert place.type == 'RandomPlacement'
    assert place.size == (512, 512)
    preprocessor = cfg.model.data_preprocessor
    assert place.pad_value == preprocessor.mean[::-1]
    assert preprocessor.bgr_to_rgb
    views = cfg.tta_pipeline[-1].transforms
    assert views[0] == [
        dict(type='Resize', scale_factor=scale, **pillow)
        for scale in (1.0, 0.5, 1.5, 2.0)
    ]
    assert [flip.prob for flip in views[1]] == [0, 1]
    assert preprocessor.test_cfg is None
    assert cfg.model.decode_head.image_multiple == 16
    assert cfg.optim_wrapper.optimizer.momentum == 1e-4


@CLIMS
def test_critic_and_starting_point(name):
    cfg = read_config(name)
    assert cfg.model.data_preprocessor.image_dtype == 'float32'
    head = cfg.model.decode_head
    assert head.critic.align_corners
    shown = 'clip' if name == CAMERA_READY else 'imagenet'
    assert head.critic.normalization == shown
    voc = name != COCO
    assert ('_released/' in cfg.load_from) == voc


@CLIMS
def test_padding_is_exactly_zero_for_the_network_and_the_critic(name):
    cfg = read_config(name)
    model = MODELS.build(cfg.model.data_preprocessor)
    place = TRANSFORMS.build(cfg.train_dataloader.dataset.pipeline[-2])
    place.draw_offsets = lambda shape: (100, 40)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    packed = PackSegInputs()(place(dict(img=image)))
    output = model({k: [v] for k, v in packed.items()}, training=True)
    shown = output['data_samples'][0].img.data[None]
    critic = cfg.model.decode_head.critic
    seen = normalize_images(shown, critic.normalization)
    for found in (output['inputs'], seen):
        assert found[:, :, 100:400, 40:440].abs().mean() > 0.5
        found[:, :, 100:400, 40:440] = 0
        assert (found == 0).all()
    # Resized as the critic does, padding is still 0.
    inside, rest = mask_regions(
        seen,
        torch.rand(1, 1, 32, 32),
        (torch.tensor([0]), torch.tensor([0])),
        (224, 224),
        align_corners=critic.align_corners,
    )
    assert (inside == 0).all()
    assert (rest == 0).all()


def test_coco():
    cfg = read_config(COCO)
    head = cfg.model.decode_head
    assert head.num_classes == 81
    assert head.backgrounds.source == 'coco_published'
    assert len(background_lists()['coco_published']) == 88
    assert head.text.aliases == 'clims_released'
    losses = {loss.type: dict(loss) for loss in head.losses}
    assert losses == {
        'ObjectTextLoss': dict(
            type='ObjectTextLoss', loss_weight=2, tangent_below=None
        ),
        'BackgroundTextLoss': dict(
            type='BackgroundTextLoss', loss_weight=14, tangent_below=None
        ),
        'BackgroundSuppressionLoss': dict(
            type='BackgroundSuppressionLoss',
            threshold=0.285,
            reduction='sum',
            loss_weight=1.25,
            tangent_below=None,
        ),
        'ActivationAreaLoss': dict(type='ActivationAreaLoss', loss_weight=0.2),
    }
    assert cfg.optim_wrapper.optimizer.lr == 5e-4
    assert cfg.train_dataloader.batch_size == 16
    assert cfg.model.backbone.norm_cfg.type == 'SyncBN'
    # The default has the list without words that name parts of classes.
    default = read_config(COCO.removesuffix('_released')).model
    assert default.decode_head.backgrounds.source == 'coco'


def test_clims_plus():
    for name in (PLUS, PLUS.removesuffix('_released')):
        head = read_config(name).model.decode_head
        nce, area = head.losses
        assert (nce.type, nce.form) == ('InfoNCERegionLoss', 'eq9')
        assert 'temperature' not in nce
        assert (area.type, area.loss_weight) == ('ActivationAreaLoss', 0.2)
        # CLIMS's own list where an image shows nothing.
        assert head.backgrounds.source.endswith('backgrounds.json')
        assert head.backgrounds.fallback == 'voc'
    assert read_config(PLUS).model.decode_head.text.aliases == (
        'clims_released'
    )


def test_camera_ready_rates_and_norms():
    cfg = read_config(CAMERA_READY)
    keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
    assert keys.decode_head.lr_mult == 1
    assert cfg.model.backbone.norm_cfg == dict(type='BN', requires_grad=False)
    assert cfg.train_cfg.max_iters == 6610


def small_backbone(cfg):
    """Its ResNet, thin, with its other arguments."""
    backbone = dict(cfg.model.backbone, depth=18, base_channels=8)
    backbone.pop('pretrained', None)
    torch.manual_seed(0)
    model = torch.nn.ModuleDict(dict(backbone=MODELS.build(backbone)))
    return model.train()


@pytest.mark.parametrize('name', [VOC, CAMERA_READY])
def test_first_layer_rests_but_its_statistics_move(name):
    cfg = read_config(name)
    model = small_backbone(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    net = model['backbone']
    before = {k: v.clone() for k, v in net.state_dict().items()}
    images = torch.randn(2, 3, 48, 64)
    features = net.conv1(images)
    for _ in range(2):
        wrapper.update_params(net(images)[0].square().mean())
    after = net.state_dict()
    for key in ('conv1.weight', 'bn1.weight', 'bn1.bias'):
        assert torch.equal(before[key], after[key]), key
    moved = not torch.equal(
        before['layer1.0.conv1.weight'], after['layer1.0.conv1.weight']
    )
    assert moved
    # PyTorch's rule, twice with .1, from 0.
    mean = features.detach().mean((0, 2, 3))
    assert torch.allclose(after['bn1.running_mean'], 0.19 * mean, atol=1e-5)
    affine = not torch.equal(
        before['layer1.0.bn1.bias'], after['layer1.0.bn1.bias']
    )
    assert affine == (name != CAMERA_READY)


def test_default_keeps_the_first_statistics():
    net = small_backbone(read_config(VOC.removesuffix('_released')))
    net['backbone'](torch.randn(2, 3, 48, 64))
    assert (net['backbone'].bn1.running_mean == 0).all()
    assert (net['backbone'].layer1[0].bn1.running_mean != 0).any()


def test_initial_weights_of_the_classifier():
    """PyTorch's: uniform up to 1 / sqrt(2048), standard deviation .0128."""
    torch.manual_seed(0)
    init = read_config(CAM).model.decode_head.init_cfg
    head = CAMHead(21, 2048, init_cfg=init)
    torch.nn.init.zeros_(head.conv_seg.weight)
    head.init_weights()
    weight = head.conv_seg.weight
    bound = 1 / math.sqrt(2048)
    assert weight.abs().max().item() == pytest.approx(bound, rel=1e-2)
    assert weight.std().item() == pytest.approx(0.01276, rel=1e-2)
