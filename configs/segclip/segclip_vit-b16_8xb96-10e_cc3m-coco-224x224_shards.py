# The same from tar shards: a stream, of which no machine holds a list.
_base_ = [
    '../_base_/models/segclip_vit-b16.py',
    '../_base_/datasets/cc3m_shards.py',
    '../_base_/schedules/segclip_10e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(
        contrastive=dict(type='ImageTextContrastiveLoss'),
        superpixel=dict(type='SuperpixelKLLoss', loss_weight=.1)),
    auxiliary_head=dict(
        type='MaskedReconstructionHead', channels=768, patch_size=16))
val_dataloader = val_evaluator = None
test_dataloader = test_evaluator = None
