# The published code of WeCLIP where it departs from what was meant: boxes from
# maps of 8 bits and without their last row and column, black and supervised
# padding, tests with a long side of 512 pixels.
_base_ = './weclip_vit-b16_1xb4-30k_voc12-320x320.py'

model = dict(
    decode_head=dict(
        class_maps=dict(affinity=dict(published_boxes=True)),
        # 15,000 of a counter that also counts images of the validation.
        dynamic_start=9145))

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[3] = dict(
    type='RandomPlacement', size=_base_.crop_size, pad_value=0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(512, 512), keep_ratio=True)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale=(side, side), keep_ratio=True)
    for side in (512, 384)
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
