# WeakCLIP at toyland's scale: six blocks, patches of 8, 96 x 96 pixels.
_base_ = [
    '../_base_/models/weakclip_vit-b16.py',
    '../_base_/datasets/toyland_seeds.py',
    '../_base_/default_runtime.py',
]

norm_cfg = dict(type='SyncBN', requires_grad=True)
clip = dict(model='toyclip', pretrained='toyland')
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        **clip,
        out_indices=(1, 2, 3, 5),
        adapter=dict(channels=128, norm_cfg=norm_cfg)),
    neck=dict(
        num_classes=9,
        in_channels=[128, 128, 128, 128],
        embed_dim=64,
        co_attention=dict(width=64),
        text=clip,
        neck=dict(out_channels=64)),
    decode_head=dict(
        num_classes=9,
        in_channels=[64, 64, 64, 64],
        feature_strides=[2, 4, 8, 16],
        channels=64,
        norm_cfg=norm_cfg,
        seed_loss=dict(size=(48, 48)),
        boundary_loss=dict(size=(48, 48))),
    auxiliary_head=dict(num_classes=9),
    test_cfg=dict(_delete_=True, mode='whole'))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=800, val_interval=400)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=800, eta_min=1e-6, end=800,
         by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=400))
# For `weakclip test --protocol`: deviations for toyland's small images.
protocol = dict(
    _delete_=True,
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.))
