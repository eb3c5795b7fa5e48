# Photos and their tags: a classifier is trained on nine in ten of them, and
# judged by the tags of the others. Maps of all are what a test makes, summed
# over views.
_base_ = './image_labels.py'

data_root = 'data/photos'
# The long side of a photo.
crop_size = (288, 288)
dataset_type = 'WeakSegDataset'
# Replaced by the user's.
metainfo = dict(classes=('background', 'cat', 'dog'))
load = _base_.load

# Tags are those of a whole photo, so nearly all of it stays to be seen: it is
# reduced or enlarged a little and padded, and a crop keeps nine tenths of the
# long side at least. Its hue stays, since a tag may mean a colour.
train_pipeline = [
    *load,
    dict(type='RandomResize', scale=crop_size, ratio_range=(.75, 1.1),
         keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),
    dict(type='RandomFlip', prob=.5),
    _base_.pack,
]
test_pipeline = [
    *load,
    dict(type='Resize', scale=crop_size, keep_ratio=True),
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side), keep_ratio=True)
             for side in (288, 432, 576)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            [dict(type='LoadTruthIfPresent')],
            [_base_.pack],
        ]),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    # Classes with few photos are drawn more often.
    sampler=dict(type='RepeatFactorSampler', threshold=.1),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(img_path='images'),
        metainfo=metainfo,
        part='fit',
        pipeline=train_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(img_path='images'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_evaluator = dict(
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/cam',
    activation='none',
    use_labels=True)
