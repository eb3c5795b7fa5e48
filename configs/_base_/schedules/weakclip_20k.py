train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=3e-5),
    constructor='TrainableOptimWrapperConstructor')
# The warm-up lies over the beginning of the cosine.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=1500, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=20000, eta_min=1e-6, end=20000,
         by_epoch=False),
]
