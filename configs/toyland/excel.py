# ExCEL at toyland's scale: six blocks, patches of 8, 96 x 96 pixels.
_base_ = [
    '../_base_/models/excel_vit-b16.py',
    '../_base_/datasets/toyland_tags.py',
    '../_base_/default_runtime.py',
]

clip = dict(model='toyclip', pretrained='toyland')
model = dict(
    data_preprocessor=dict(
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        size=(96, 96)),
    backbone=dict(
        **clip,
        dense=dict(_delete_=True, preset='excel', heads='keep'),
        attention_layers=0),
    decode_head=dict(
        num_classes=9,
        text=dict(
            _delete_=True,
            type='TemplateText',
            **clip,
            background_words=('water', 'road', 'grass', 'sky', 'sand',
                              'brick'),
            foreground_only=True),
        # The attention of toyland's CLIP smears these maps: see
        # benchmarks/toyland.md.
        class_maps=dict(affinity=None),
        adapter=dict(
            in_channels=128, channels=64, layers=(0, 1, 2, 3, 4, 5)),
        channels=64,
        dynamic_start=400,
        self_target_start=None))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=800, val_interval=400)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
    constructor='TrainableOptimWrapperConstructor')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., end=800, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=400))
# For `weakclip test --protocol`: deviations for toyland's small images.
protocol = dict(
    _delete_=True,
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.))
