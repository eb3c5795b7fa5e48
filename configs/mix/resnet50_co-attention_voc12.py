# Text-pixel matching over a stock ResNet: its pixels are projected into the
# space of CLIP's texts, and the match is shown to every level.
_base_ = [
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    pretrained='open-mmlab://resnet50_v1c',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(512, 512)),
    backbone=dict(type='ResNetV1c', depth=50, norm_cfg=norm_cfg),
    neck=dict(
        type='CoAttentionNeck',
        num_classes=21,
        in_channels=[256, 512, 1024, 2048],
        projection=True,
        text=dict(
            type='PromptText',
            model='ViT-B-16-quickgelu',
            pretrained='openai'),
        neck=dict(type='FPN', out_channels=256, num_outs=4)),
    decode_head=dict(
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        num_classes=21,
        norm_cfg=norm_cfg),
    auxiliary_head=dict(
        type='TextScoreHead',
        num_classes=21,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=.4)),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
