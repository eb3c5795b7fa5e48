# 80 classes and background; masks in COCO's 91 ids are mapped to them.
_base_ = [
    '../_base_/models/weakclip_vit-b16.py',
    '../_base_/datasets/coco14_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]

num_classes = 81
model = dict(
    neck=dict(num_classes=num_classes),
    decode_head=dict(num_classes=num_classes),
    auxiliary_head=dict(num_classes=num_classes))

train_cfg = dict(max_iters=40000, val_interval=4000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=1500, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=40000, eta_min=1e-6, end=40000,
         by_epoch=False),
]
