# As published, but for what their code calls momentum: it is the power of the
# decay, and the optimiser has (almost) none.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3305)
val_cfg = None
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=.1, momentum=0., weight_decay=1e-4),
    constructor='TrainableOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=3305, by_epoch=False),
]
