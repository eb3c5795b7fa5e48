# VOC 2012, images and image labels: what seeds are made of.
_base_ = './image_labels.py'

data_root = 'data/VOCdevkit/VOC2012'
finish = [
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
test_pipeline = [
    *_base_.load,
    dict(type='Resize', scale=(2048, 448), keep_ratio=True),
    *finish,
]
tta_pipeline = [
    *_base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(2048, 448), keep_ratio=True)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WeakVOC12Dataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/trainaug.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        test_mode=True,
        pipeline=test_pipeline))
test_cfg = dict(type='TestLoop')
# CAMMetric beside the writer scores raw CAMs over thresholds, where there is
# truth.
test_evaluator = dict(
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/seeds',
    activation='none',
    use_labels=True,
    crf='clipes')
