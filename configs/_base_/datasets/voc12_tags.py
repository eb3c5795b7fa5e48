# VOC 2012: trained on images and their labels alone, scored on val.
_base_ = ['./voc12_seeds.py', './image_labels.py']

crop_size = (320, 320)
train_pipeline = [
    *_base_.load,
    # Of an image's own size.
    dict(type='RandomRescale', ratio_range=(.5, 2.)),
    # cat_max_ratio=1: the published crops are chosen by pixel truth.
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),
    dict(type='RandomFlip', prob=.5),
    _base_.pack,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadTruthIfPresent'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side), keep_ratio=False)
             for side in (224, 320, 384, 480)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            [dict(type='LoadTruthIfPresent')],
            [dict(type='PackSegInputs')],
        ]),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
