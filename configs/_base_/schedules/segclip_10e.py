# Ten epochs of 3.73 million captions, 768 at a time.
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=48600, val_interval=48600)
val_cfg = test_cfg = None

# What CLIP was trained for moves a thousandth as fast as what is new, as
# published; unlike there, norms, scales and centres are not decayed.
blocks = 'backbone.tower.module.transformer.resblocks'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=4e-3, weight_decay=.05, betas=(.9, .98), eps=1e-6),
    constructor='TrainableOptimWrapperConstructor',
    paramwise_cfg=dict(
        vector_decay_mult=0.,
        custom_keys={
            'backbone.tower.module.transformer': dict(lr_mult=1e-3),
            f'{blocks}.10.': dict(lr_mult=1.),
            f'{blocks}.11.': dict(lr_mult=1.),
            'decode_head': dict(lr_mult=1e-3),
            'centers': dict(decay_mult=0.),
            'mask_token': dict(decay_mult=0.),
        }),
    clip_grad=dict(max_norm=1.))
# A warm-up of 15 %, then a cosine down to zero.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=7290, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=41310, eta_min=0., begin=7290,
         end=48600, by_epoch=False),
]
