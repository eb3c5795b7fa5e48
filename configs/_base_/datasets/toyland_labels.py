# Toyland, images and image labels: what seeds are made of.
_base_ = './image_labels.py'

data_root = 'data/toyland'
finish = [
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
test_pipeline = [*_base_.load, *finish]
tta_pipeline = [
    *_base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
test_dataloader = dict(
    batch_size=20,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ToylandDataset',
        data_root=data_root,
        ann_file='',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        test_mode=True,
        pipeline=test_pipeline))
test_cfg = dict(type='TestLoop')
test_evaluator = dict(
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/seeds',
    activation='none',
    use_labels=True)
