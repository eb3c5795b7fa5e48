# For a pretrained small network: its backbone learns a tenth as fast.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6000, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.01),
    constructor='TrainableOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=.1))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=.9, begin=50, end=6000,
         by_epoch=False),
]
