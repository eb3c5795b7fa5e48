# SegCLIP at toyland's scale: toyland's CLIP, its patches grouped before the
# last block, trained on captions alone. tools/test.py THIS CHECKPOINT scores
# val by class names.
_base_ = [
    '../_base_/models/segclip_vit-b16.py',
    '../_base_/datasets/toyland_captions.py',
    '../_base_/default_runtime.py',
]

clip = dict(model='toyclip', pretrained='toyland')
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        **clip,
        out_indices=(4,),
        # What the published rate would move by 4e-6 a step stays as it is:
        # half of a step's time.
        frozen=['conv1', 'class_embedding', 'positional_embedding', 'ln_pre',
                'transformer.resblocks.0', 'transformer.resblocks.1',
                'transformer.resblocks.2', 'transformer.resblocks.3',
                'transformer.resblocks.4'],
        group=dict(channels=128, num_heads=4),
        group_after=5,
        # Together, as published, regions soon all say what the image shows:
        # well cut, and named alike. (Seen on val.)
        isolated_regions=True),
    decode_head=dict(
        num_classes=9,
        text=dict(
            **clip,
            frozen=True,
            background_words=('water', 'road', 'grass', 'sky', 'sand',
                              'brick')),
        threshold=None,
        contrastive=dict(type='ImageTextContrastiveLoss'),
        superpixel=dict(type='SuperpixelKLLoss', loss_weight=.1)),
    auxiliary_head=dict(
        type='MaskedReconstructionHead',
        channels=128,
        patch_size=8,
        num_heads=4,
        decoder_channels=64,
        decoder_heads=4),
    test_cfg=dict(_delete_=True, mode='whole'))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=300)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=4e-3, weight_decay=.05, betas=(.9, .98), eps=1e-6),
    constructor='TrainableOptimWrapperConstructor',
    paramwise_cfg=dict(
        vector_decay_mult=0.,
        custom_keys={
            'logit_scale': dict(lr_mult=1e-3),
            'centers': dict(decay_mult=0.),
            'mask_token': dict(decay_mult=0.),
        }),
    clip_grad=dict(max_norm=1.))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=90, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=510, eta_min=0., begin=90,
         end=600, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=300))
