# WeCLIP+ with DINOv2-S/14 on COCO 2014 train: boxes, eight attention maps, and
# self-targets after half of the training.
_base_ = [
    '../_base_/models/weclip_plus_vit-b16.py',
    '../_base_/datasets/coco14_tags.py',
    '../_base_/schedules/excel_30k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(attention_layers=8),
    decode_head=dict(
        num_classes=81,
        text=dict(background_words='coco'),
        class_maps=dict(affinity=dict(box_threshold=.7)),
        loss_decode=[
            dict(
                type='SelfTargetLoss',
                loss=dict(type=kind),
                start=.5,
                threshold=.75) for kind in ('BalancedCELoss', 'BatchDiceLoss')
        ]))
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=2e-4))

train_cfg = dict(max_iters=80000, val_interval=10000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=51, by_epoch=False),
    dict(type='ConstantLR', factor=1 - 50 / 80000, begin=50, end=80001,
         by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=50, end=80001,
         by_epoch=False),
]

test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(512, 512), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(side, side), keep_ratio=True)
    for side in (512, 768)
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_model = dict(activation='none')
protocol = dict(crf='weclip')
