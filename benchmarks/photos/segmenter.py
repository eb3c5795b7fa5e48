# A small segmenter over EfficientNet-Lite0 for the photos of six classes, on
# pseudo masks: train_dataloader.dataset.data_prefix.seg_map_path says where.
_base_ = [
    '../../configs/_base_/datasets/animals_tags.py',
    '../../configs/_base_/default_runtime.py',
]

side = 256
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        size=(side, side),
    ),
    backbone=dict(
        type='TimmFeatureMaps',
        model_name='tf_efficientnet_lite0',
        pretrained=True,
        out_indices=(1, 2, 3, 4),
        last=False,
        # 5 freezes all of it.
        frozen_stages=2,
        norm_eval=True,
    ),
    neck=dict(
        type='FPN', in_channels=[24, 40, 112, 320], out_channels=64, num_outs=4
    ),
    decode_head=dict(
        type='FPNHead',
        in_channels=[64, 64, 64, 64],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=64,
        num_classes=7,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    test_cfg=dict(mode='whole'),
)

train_pipeline = [
    dict(type='LoadColorImage'),
    dict(type='LoadSeed'),
    dict(
        type='RandomResize',
        scale=(8 * side, side),
        ratio_range=(0.75, 1.75),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(side, side), cat_max_ratio=1.0),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(8 * side, side), keep_ratio=True),
    dict(type='LoadTruthIfPresent'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ResumableSampler'),
    # All photos, and masks in the place of tags. The masks have the ids of
    # the six classes, not VOC's.
    dataset=dict(type='WeakSegDataset', part=None, pipeline=train_pipeline),
)
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/val.txt', pipeline=test_pipeline
    )
)
test_evaluator = dict(
    _delete_=True, type='PartialIoUMetric', iou_metrics=['mIoU']
)

train_cfg = dict(type='IterBasedTrainLoop', max_iters=1600)
val_cfg = None
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
    constructor='TrainableOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, end=50, by_epoch=False),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=0.9,
        begin=50,
        end=1600,
        by_epoch=False,
    ),
]
