# The third stage at toyland's scale: a stock Semantic FPN, trained from random
# weights on pseudo masks, here those of weakclip_masks.py.
_base_ = [
    '../_base_/models/fpn-small_r18.py',
    '../_base_/datasets/toyland_seeds.py',
    '../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    decode_head=dict(num_classes=9))

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
