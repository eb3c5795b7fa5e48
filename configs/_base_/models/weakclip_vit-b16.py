norm_cfg = dict(type='SyncBN', requires_grad=True)
clip = dict(model='ViT-B-16-quickgelu', pretrained='openai')

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True,
        size=(512, 512)),
    backbone=dict(
        type='CLIPViT',
        **clip,
        out_indices=(3, 5, 7, 11),
        adapter=dict(
            type='PyramidAdapter', channels=768, norm_cfg=norm_cfg,
            deferred=True),
        with_tokens=True),
    neck=dict(
        type='CoAttentionNeck',
        num_classes=21,
        in_channels=[768, 768, 768, 768],
        text=dict(type='PromptText', **clip),
        neck=dict(type='ScoreFPN', out_channels=256, num_outs=4)),
    decode_head=dict(
        type='TextGuidedHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=256,
        num_classes=21,
        norm_cfg=norm_cfg,
        seed_loss=dict(type='CAMSeedLoss', size=(64, 64)),
        boundary_loss=dict(
            type='CRFBoundaryLoss', size=(64, 64), params='weakclip_train')),
    auxiliary_head=dict(
        type='TextScoreHead',
        num_classes=21,
        temperature=.07,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
