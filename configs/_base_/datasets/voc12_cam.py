# VOC 2012 for classifiers: trained on images and their labels; maps of
# trainaug are what a test makes, summed over views.
_base_ = ['./voc12_seeds.py', './image_labels.py']

data_root = _base_.data_root
crop_size = (512, 512)
train_pipeline = [
    *_base_.load,
    # The long side, 320 to 640.
    dict(type='RandomResize', scale=(640, 640), ratio_range=(.5, 1.),
         keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=1.),
    dict(type='RandomFlip', prob=.5),
    _base_.pack,
]
test_pipeline = [
    *_base_.load,
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
tta_pipeline = [
    *_base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True)
             for ratio in (1., .5, 1.5, 2.)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            [dict(type='LoadTruthIfPresent')],
            [_base_.pack],
        ]),
]
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=train_pipeline))
# Maps need labels, which a validation without them cannot give.
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainaug.txt',
        data_prefix=dict(seg_map_path='SegmentationClassAug'),
        pipeline=test_pipeline))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/cam',
    activation='none',
    use_labels=True)
