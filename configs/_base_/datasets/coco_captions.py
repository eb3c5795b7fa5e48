# COCO 2014, Karpathy's training images (82,783), each of their captions a
# sample; scored on VOC 2012 val. tools/make_superpixels.py finds the
# superpixels beforehand.
data_root = 'data/coco'
crop_size = (224, 224)

# No flips, no colours: captions may name sides and colours.
crop_and_pack = [
    dict(type='RandomResizedCrop', crop_size=crop_size, scale=(.5, 1.)),
    dict(type='PackCaptionInputs'),
]
train_pipeline = [
    dict(type='LoadColorImage'),
    dict(type='FelzenszwalbSuperpixels',
         cache_dir=f'{data_root}/superpixels'),
    *crop_and_pack,
]
# mmseg's inferencer looks for the stock loader by name.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 224), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=96,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler'),
    dataset=dict(
        type='CaptionDataset',
        data_root=data_root,
        ann_file='annotations/dataset_coco.json',
        reader=dict(split='train'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
