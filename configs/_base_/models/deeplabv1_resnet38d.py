# DeepLabV1 (LargeFOV) over ResNet-38 at output stride 8. The norms of the
# backbone are frozen, as they have been for CAMs since PSA.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(448, 448)),
    backbone=dict(
        type='ResNet38d',
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        # Written by tools/model_converters/resnet38d.py.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/resnet38d_imagenet.pth')),
    decode_head=dict(
        type='DeepLabV1Head',
        in_channels=4096,
        in_index=0,
        channels=512,
        num_classes=21,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        align_corners=True,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
