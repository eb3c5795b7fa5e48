# A frozen DINOv2 (ViT-S/14), whose last four blocks a linear layer reads: the
# linear evaluation of the paper (TMLR 2024), variant "+ms".
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # Those of timm's record, which CheckNormalizationHook compares.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        # The size of DINOv2's position embedding: 37 patches of 14.
        size=(518, 518)),
    backbone=dict(
        type='TimmFeatureMaps',
        # Or with registers: vit_small_patch14_reg4_dinov2.lvd142m.
        model_name='vit_small_patch14_dinov2.lvd142m',
        pretrained=True,
        out_indices=(8, 9, 10, 11),
        last=False,
        # All blocks, the embeddings and the last norm.
        frozen_stages=12),
    decode_head=dict(
        type='LinearHead',
        in_channels=[384, 384, 384, 384],
        in_index=[0, 1, 2, 3],
        num_classes=21,
        norm_cfg=norm_cfg,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
