# The stock segmenter over EfficientNet-Lite0 for the photos of six classes, on
# pseudo masks: train_dataloader.dataset.data_prefix.seg_map_path says where.
_base_ = [
    '../../configs/_base_/models/fpn_lite0.py',
    '../../configs/_base_/datasets/animals_tags.py',
    '../../configs/_base_/schedules/fpn-lite0_6k.py',
    '../../configs/_base_/default_runtime.py',
]

side = 256
model = dict(decode_head=dict(num_classes=7))

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

# A validation would look at truth.
train_cfg = dict(max_iters=1600)
val_cfg = None
param_scheduler = _base_.param_scheduler
param_scheduler[-1]['end'] = 1600
