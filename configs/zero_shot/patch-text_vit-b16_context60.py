# PASCAL Context: 59 classes, all else is background.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=60,
        # Of a pixel's best text; NACLIP's for this data set.
        threshold=.1,
        text=dict(aliases='context', foreground_only=True)))
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset',
        data_root='data/VOCdevkit/VOC2010',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt'))
