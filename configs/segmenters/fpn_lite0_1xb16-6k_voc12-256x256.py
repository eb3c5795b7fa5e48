# Semantic FPN over EfficientNet-Lite0 on pseudo masks of VOC 2012, for a CPU.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/fpn_lite0.py',
    '../_base_/datasets/pseudo_masks_voc12.py',
    '../_base_/schedules/fpn-lite0_6k.py',
    '../_base_/default_runtime.py',
]

crop_size = (256, 256)
small = (2048, 256)
train_pipeline = _base_.train_pipeline
train_pipeline[2]['scale'] = small
train_pipeline[3]['crop_size'] = crop_size
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = small
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(int(2048 * ratio), int(256 * ratio)),
         keep_ratio=True)
    for ratio in (.75, 1., 1.25)
]
train_dataloader = dict(
    batch_size=16, num_workers=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=2, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
