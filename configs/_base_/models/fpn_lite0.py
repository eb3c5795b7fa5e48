# Semantic FPN over EfficientNet-Lite0, a pretrained network that is small
# enough for a CPU.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # Those of timm's record, which CheckNormalizationHook compares.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        size=(256, 256)),
    backbone=dict(
        type='TimmFeatureMaps',
        model_name='tf_efficientnet_lite0',
        # timm's own; or a file, such as the one that
        # tools/model_converters/efficientnet_lite0.py writes.
        pretrained=True,
        out_indices=(1, 2, 3, 4),
        last=False,
        # The stem and the stages up to stride 4; 5 freezes all of it. The
        # statistics of all norms stay.
        frozen_stages=2,
        norm_eval=True),
    neck=dict(
        type='FPN',
        in_channels=[24, 40, 112, 320],
        out_channels=64,
        num_outs=4),
    decode_head=dict(
        type='FPNHead',
        in_channels=[64, 64, 64, 64],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=64,
        num_classes=21,
        norm_cfg=norm_cfg,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
