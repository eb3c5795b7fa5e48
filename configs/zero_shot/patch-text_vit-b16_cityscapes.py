# Cityscapes: 19 classes, from larger images.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

load = [
    dict(type='LoadColorImage'),
    dict(type='Resize', scale=(2048, 560), keep_ratio=True),
]
test_pipeline = [*load, *_base_.finish]
tta_pipeline = [*load, _base_.tta_pipeline[-1]]
model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=19,
        text=dict(aliases='cityscapes')))
test_dataloader = dict(
    dataset=dict(
        type='CityscapesDataset',
        data_root='data/cityscapes',
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
