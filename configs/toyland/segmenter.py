# The third stage at toyland's scale: a stock Semantic FPN, trained from random
# weights on pseudo masks, here those of weakclip_masks.py.
_base_ = [
    '../_base_/models/fpn-small_r18.py',
    '../_base_/datasets/toyland_seeds.py',
    '../_base_/schedules/fpn-small_3k.py',
    '../_base_/default_runtime.py',
]

# Enlarged more than for CLIP: small things are lost on maps of every fourth
# pixel.
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomResize', scale=(160, 160), ratio_range=(.75, 1.25),
    keep_ratio=True)
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = (160, 160)

model = dict(
    data_preprocessor=dict(size=(96, 96)),
    decode_head=dict(num_classes=9))

train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        data_prefix=dict(seg_map_path='weakclip/masks'),
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(interval=1000))
custom_hooks = [*_base_.custom_hooks, dict(type='ChannelsLastHook')]
# For `weakclip test --protocol`: deviations for toyland's small images.
protocol = dict(
    _delete_=True,
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.))
