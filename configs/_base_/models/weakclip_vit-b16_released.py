# WeakCLIP as the published code builds and starts it.
_base_ = './weakclip_vit-b16.py'

model = dict(
    # ImageNet's normalisation into CLIP.
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    # lr_mult=0 (in the schedule) instead of frozen. The position table is that
    # of a crop, 32 x 32 patches.
    backbone=dict(
        frozen=False, class_embedding_repeats=2, position_grid=(32, 32),
        check_normalization=False),
    neck=dict(
        text=dict(frozen=False),
        # Only the last layer of each decoder stack has an effect.
        co_attention=dict(chained=False),
        # init_weights() is never called there: what the constructors of
        # mmcv's ConvModule and of PyTorch draw stays.
        neck=dict(init_cfg=None)),
    decode_head=dict(
        init_cfg=None,
        # The image is aligned by its corners, the logits are not.
        boundary_loss=dict(align_corners=True)))
# Layers without a gradient would stop DistributedDataParallel.
find_unused_parameters = True
