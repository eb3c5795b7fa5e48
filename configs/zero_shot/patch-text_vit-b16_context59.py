# PASCAL Context: 59 classes, the background is not scored.
# Nothing is trained: tools/test.py THIS. More paths: model.backbone.dense.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(dense='sclip'),
    decode_head=dict(
        num_classes=59,
        text=dict(aliases='context')))
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset59',
        data_root='data/VOCdevkit/VOC2010',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt'))
