# A SegCLIP trained on captions, scored on VOC 2012 val by class names:
# tools/test.py THIS CHECKPOINT. The threshold is the published one, which was
# found on this very set; tools/sweep_threshold.py finds another.
_base_ = [
    '../_base_/models/segclip_vit-b16.py',
    '../_base_/datasets/zero_shot.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(text=dict(aliases='segclip_voc')))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 224), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    dataset=dict(
        type='PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline))
