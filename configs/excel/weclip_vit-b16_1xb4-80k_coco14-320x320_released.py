# The published code of WeCLIP for COCO; see the released config of VOC. Class
# names are those of the published prompts.
_base_ = './weclip_vit-b16_1xb4-80k_coco14-320x320.py'

model = dict(
    decode_head=dict(
        text=dict(aliases='clipes_coco_published'),
        class_maps=dict(affinity=dict(published_boxes=True))))

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
