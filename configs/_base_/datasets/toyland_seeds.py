# Toyland: trained on seeds of train, scored on val.
data_root = 'data/toyland'

train_pipeline = [
    dict(type='LoadColorImage'),
    dict(type='LoadSeed'),
    dict(type='RandomResize', scale=(96, 96), ratio_range=(.75, 1.75),
         keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 96), cat_max_ratio=1.),
    dict(type='RandomFlip', prob=.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# mmseg's inferencer looks for the stock loader by name.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Enlarged, as VOC's images are to 512 pixels.
    dict(type='Resize', scale=(144, 144), keep_ratio=True),
    dict(type='LoadTruthIfPresent'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side), keep_ratio=True)
             for side in (96, 144, 192)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            [dict(type='LoadTruthIfPresent')],
            [dict(type='PackSegInputs')],
        ]),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler'),
    dataset=dict(
        type='ToylandDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='seeds/masks'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=20,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ToylandDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='PartialIoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
