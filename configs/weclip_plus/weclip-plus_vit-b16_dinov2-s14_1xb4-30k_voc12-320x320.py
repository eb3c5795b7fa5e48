# WeCLIP+ with DINOv2-S/14 on VOC 2012 trainaug.
_base_ = [
    '../_base_/models/weclip_plus_vit-b16.py',
    '../_base_/datasets/voc12_tags.py',
    '../_base_/schedules/excel_30k.py',
    '../_base_/default_runtime.py',
]

# 2e-5 times ten for all that is trained.
optim_wrapper = dict(optimizer=dict(lr=2e-4))

test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(512, 512), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(side, side), keep_ratio=True)
    for side in (512, 768)
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Logits are averaged, as published.
tta_model = dict(activation='none')
protocol = dict(crf='weclip')
