# The third stage at toyland's scale: a stock Semantic FPN, trained from random
# weights on pseudo masks, here those of weakclip_masks.py.
_base_ = [
    '../_base_/datasets/toyland_seeds.py', '../_base_/default_runtime.py'
]

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(96, 96)),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        out_indices=(0, 1, 2, 3),
        norm_cfg=norm_cfg),
    neck=dict(
        type='FPN',
        in_channels=[64, 128, 256, 512],
        out_channels=128,
        num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[128, 128, 128, 128],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        num_classes=9,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss')),
    test_cfg=dict(mode='whole'))

train_dataloader = dict(
    batch_size=16,
    dataset=dict(data_prefix=dict(seg_map_path='weakclip/masks')))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1600, val_interval=400)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=1600, eta_min=1e-6, end=1600,
         by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=400))
