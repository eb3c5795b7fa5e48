"""Small segmentors of every kind, with random weights."""

from collections.abc import Callable

import pytest
import torch
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from torch import nn

NORM = dict(type='SyncBN')
RESNET = dict(
    type='ResNetV1c',
    depth=18,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(0, 1),
    base_channels=8,
    stem_channels=8,
    norm_cfg=NORM,
)
VIT = dict(
    type='VisionTransformer',
    img_size=(64, 64),
    patch_size=16,
    embed_dims=24,
    num_layers=2,
    num_heads=2,
    mlp_ratio=2,
    out_indices=(0, 1),
)
HEAD = dict(channels=16, num_classes=4, norm_cfg=NORM)
LAST = dict(HEAD, in_channels=16, in_index=1)
BOTH = dict(HEAD, in_channels=[24, 24], in_index=[0, 1])
MODEL_PARTS = dict(
    fpn=dict(
        backbone=RESNET,
        neck=dict(
            type='FPN', in_channels=[8, 16], out_channels=16, num_outs=2
        ),
        decode_head=dict(
            HEAD,
            type='FPNHead',
            in_channels=[16, 16],
            in_index=[0, 1],
            feature_strides=[4, 8],
        ),
    ),
    deeplabv2=dict(
        backbone=RESNET,
        decode_head=dict(
            LAST, type='ASPPHead', dilations=(1, 3), align_corners=True
        ),
    ),
    multi_scale=dict(
        type='MultiScaleSegmentor',
        backbone=RESNET,
        decode_head=dict(
            type='DeepLabV2Head',
            in_channels=16,
            in_index=1,
            num_classes=4,
            dilations=(1, 3),
        ),
    ),
    deeplabv3plus=dict(
        backbone=RESNET,
        decode_head=dict(
            LAST,
            type='DepthwiseSeparableASPPHead',
            dilations=(1, 3),
            c1_in_channels=8,
            c1_channels=4,
        ),
    ),
    pspnet=dict(
        backbone=RESNET,
        decode_head=dict(LAST, type='PSPHead', pool_scales=(1, 2, 3, 6)),
    ),
    segformer=dict(
        backbone=dict(
            type='MixVisionTransformer',
            embed_dims=8,
            num_stages=2,
            num_layers=[1, 1],
            num_heads=[1, 2],
            patch_sizes=[7, 3],
            strides=[4, 2],
            sr_ratios=[2, 1],
            out_indices=(0, 1),
            mlp_ratio=2,
        ),
        decode_head=dict(
            HEAD, type='SegformerHead', in_channels=[8, 16], in_index=[0, 1]
        ),
    ),
    segmenter=dict(
        backbone=dict(VIT, out_indices=(1,), interpolate_mode='bicubic'),
        decode_head=dict(
            type='SegmenterMaskTransformerHead',
            in_channels=24,
            channels=24,
            embed_dims=24,
            num_classes=4,
            num_layers=1,
            num_heads=2,
        ),
    ),
    upernet_vit=dict(
        backbone=VIT,
        neck=dict(
            type='MultiLevelNeck',
            in_channels=[24, 24],
            out_channels=24,
            scales=[2, 0.5],
        ),
        decode_head=dict(BOTH, type='UPerHead'),
    ),
    swin=dict(
        backbone=dict(
            type='SwinTransformer',
            embed_dims=8,
            depths=[2, 2],
            num_heads=[1, 2],
            strides=(4, 2),
            out_indices=(0, 1),
            window_size=4,
        ),
        decode_head=dict(LAST, type='FCNHead', num_convs=1),
    ),
)


@pytest.fixture(scope='session')
def model_config() -> Callable[..., dict]:
    """Config of a small segmentor by its name; further entries go in."""

    def config(name: str, **kwargs) -> dict:
        preprocessor = dict(
            type='SegDataPreProcessor',
            mean=[120.0, 110.0, 100.0],
            std=[60.0, 50.0, 70.0],
            bgr_to_rgb=True,
            **kwargs.pop('data_preprocessor', {}),
        )
        base = dict(
            type='EncoderDecoder',
            data_preprocessor=preprocessor,
            test_cfg=dict(mode='whole'),
        )
        return {**base, **MODEL_PARTS[name], **kwargs}

    return config


@pytest.fixture(scope='session')
def build(model_config) -> Callable[..., BaseSegmentor]:
    """A small segmentor in evaluation mode, whose logits are some units."""

    def make(name: str, **kwargs) -> BaseSegmentor:
        torch.manual_seed(0)
        model = MODELS.build(model_config(name, **kwargs))
        model.eval()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(std=0.1)
        head = model.decode_head
        if hasattr(head, 'conv_seg'):
            for weight in head.conv_seg.parameters():
                weight.data.normal_(std=1.0)
        return model

    return make
