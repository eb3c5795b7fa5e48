# The same around the images' own size: they are not enlarged for a test, and
# 0.5 to 1.5 times as large in training.
_base_ = './pseudo_masks_voc12.py'

# VOC's long side; RandomResize wants a size to begin with.
train_scale = (500, 500)
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=train_scale, ratio_range=(.5, 1.5))
test_pipeline = [t for t in _base_.test_pipeline if t['type'] != 'Resize']
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(type='Resize', scale_factor=ratio, keep_ratio=True)
    for ratio in (.5, .75, 1., 1.25, 1.5)
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
