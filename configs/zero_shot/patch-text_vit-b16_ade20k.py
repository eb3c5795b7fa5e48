# ADE20K: 150 classes.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=150,
        text=dict(aliases='ade20k')))
test_dataloader = dict(
    dataset=dict(
        type='ADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        reduce_zero_label=True))
