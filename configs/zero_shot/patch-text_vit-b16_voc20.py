# PASCAL VOC 2012: 20 classes, the background is not scored.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=20,
        text=dict(aliases='voc')))
test_dataloader = dict(
    dataset=dict(
        type='VOC20Dataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt'))
