train_cfg = dict(type='IterBasedTrainLoop', max_iters=30000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The published 1e-4 is multiplied by ten for all that is trained.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor')
# The warm-up lies over the beginning of the decay.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., end=30000, by_epoch=False),
]
