# UPerNet over four blocks of DeiT-S, whose weights timm brings; the rest as in
# mmseg.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(512, 512),
        # Whole patches.
        test_cfg=dict(size_divisor=16)),
    backbone=dict(
        type='TIMMBackbone',
        model_name='deit_small_patch16_224',
        pretrained=True,
        out_indices=(2, 5, 8, 11),
        img_size=(512, 512),
        dynamic_img_size=True,
        drop_path_rate=.1),
    neck=dict(
        type='MultiLevelNeck',
        in_channels=[384, 384, 384, 384],
        out_channels=384,
        scales=[4, 2, 1, .5]),
    decode_head=dict(
        type='UPerHead',
        in_channels=[384, 384, 384, 384],
        in_index=[0, 1, 2, 3],
        channels=512,
        num_classes=21,
        norm_cfg=norm_cfg,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=384,
        in_index=3,
        channels=256,
        num_convs=1,
        concat_input=False,
        num_classes=21,
        norm_cfg=norm_cfg,
        loss_decode=dict(
            type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=.4)),
    test_cfg=dict(mode='whole'))
