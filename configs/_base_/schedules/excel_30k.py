train_cfg = dict(type='IterBasedTrainLoop', max_iters=30000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The published 1e-4 is multiplied by ten for all that is trained.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor')
# As published, to the last digit: it / 50 in the warm-up, 1 - it / 30000 from
# its end on. mmengine's schedules reach their last value at end - 1.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=51, by_epoch=False),
    dict(type='ConstantLR', factor=1 - 50 / 30000, begin=50, end=30001,
         by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=50, end=30001,
         by_epoch=False),
]
