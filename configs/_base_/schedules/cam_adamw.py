# Ten passes over about a thousand photos.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=700)
val_cfg = None
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor',
    # The new layer.
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=.9, begin=50, end=700,
         by_epoch=False),
]
