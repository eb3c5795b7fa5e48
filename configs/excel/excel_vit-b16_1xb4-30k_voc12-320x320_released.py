# The published code where it departs from the paper, or from what was meant:
# channels normalised over tokens, the class token among the extremes of a map,
# maps of classes that a crop has lost kept, attention maps summed over heads
# in five blocks of six, boxes from maps of 8 bits and without their last row
# and column, similarity centred over the batch, black and supervised padding.
# Left out: the hidden states that in-place sums overwrite before the adapter
# sees them, and crops chosen by pixel truth.
_base_ = './excel_vit-b16_1xb4-30k_voc12-320x320.py'

model = dict(
    decode_head=dict(
        class_maps=dict(
            affinity=dict(
                layer_weights=(1, 12, 12, 12, 12, 12), published_boxes=True),
            norm_axis='token',
            class_token_extremes=True,
            min_support=None),
        relation=dict(mean='batch')))

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[3] = dict(
    type='RandomPlacement', size=_base_.crop_size, pad_value=0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# No flip at the scale of the training.
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][:2] = [[
    dict(type='Compose', transforms=[
        dict(type='Resize', scale=(side, side), keep_ratio=False),
        dict(type='RandomFlip', prob=flip, direction='horizontal'),
    ])
    for side in (224, 320, 384, 480)
    for flip in ((0.,) if side == 320 else (0., 1.))
]]
