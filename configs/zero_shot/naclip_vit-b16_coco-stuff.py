# COCO-Stuff 164k with NACLIP's values: larger images.
_base_ = './patch-text_vit-b16_coco-stuff.py'

load = [
    dict(type='LoadColorImage'),
    dict(type='Resize', scale=(2048, 448), keep_ratio=True),
]
test_pipeline = [*load, *_base_.finish]
tta_pipeline = [*load, _base_.tta_pipeline[-1]]
model = dict(backbone=dict(dense='naclip'))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
