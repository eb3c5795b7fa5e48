# Plain CAMs at toyland's scale: a small ResNet from random weights, at output
# stride 8. tools/test.py THIS CHECKPOINT --tta writes data/toyland/cam.
_base_ = [
    '../_base_/datasets/toyland_tags.py', '../_base_/default_runtime.py'
]

data_root = _base_.data_root
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(96, 96)),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=16,
        strides=(1, 2, 1, 1),
        out_indices=(3,)),
    decode_head=dict(
        type='CAMHead',
        num_classes=9,
        in_channels=128,
        background=dict(threshold=.3)),
    test_cfg=dict(mode='whole'))

train_dataloader = dict(batch_size=16)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2400)
# Maps need labels, which a validation without them cannot give.
val_dataloader = val_evaluator = val_cfg = None
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=.9, end=2400, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=1200))

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
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True)
             for ratio in (1., 1.5)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
tta_model = dict(type='CAMTTAModel')
test_dataloader = dict(
    dataset=dict(ann_file='', pipeline=test_pipeline))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/cam',
    activation='none',
    use_labels=True)
