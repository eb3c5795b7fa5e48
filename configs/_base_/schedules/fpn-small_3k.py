# Long enough for a small network from random weights.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3000, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=100, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=100, end=3000,
         by_epoch=False),
]
