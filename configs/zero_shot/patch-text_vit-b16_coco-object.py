# COCO-Object: 80 classes, all else is background. Masks of COCO-Stuff.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=81,
        text=dict(
            aliases='coco',
            background_words='coco',
            foreground_only=True)))
test_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset',
        data_root='data/coco_stuff164k',
        data_prefix=dict(
            img_path='images/val2017', seg_map_path='annotations/val2017')))
