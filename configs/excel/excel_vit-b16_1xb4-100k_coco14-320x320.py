_base_ = [
    '../_base_/models/excel_vit-b16.py',
    '../_base_/datasets/coco14_tags.py',
    '../_base_/schedules/excel_30k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(
        num_classes=81,
        text=dict(
            text=dict(background_words='coco'),
            bank=dict(descriptions='coco', clusters=224)),
        class_maps=dict(affinity=dict(box_threshold=.88)),
        dynamic_start=30000,
        self_target_start=None))

train_cfg = dict(max_iters=100000, val_interval=10000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=201, by_epoch=False),
    dict(type='ConstantLR', factor=1 - 200 / 100000, begin=200, end=100001,
         by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=200, end=100001,
         by_epoch=False),
]
# Logits are averaged, as published.
tta_model = dict(activation='none')
