# mmseg's own for VOC.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=20000, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.01, momentum=.9, weight_decay=5e-4),
    constructor='TrainableOptimWrapperConstructor')
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=.9, end=20000, by_epoch=False),
]
