# Images and truth of a benchmark, for scoring only.
load = [
    dict(type='LoadColorImage'),
    dict(type='Resize', scale=(2048, 336), keep_ratio=True),
]
finish = [
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
test_pipeline = [*load, *finish]
tta_pipeline = [
    *load,
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
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline))
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
