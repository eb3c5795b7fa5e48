# A classifier over EfficientNet-Lite0, whose maps are CAMs at output stride
# 16: small enough for a CPU.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        # Those of timm's record, which CheckNormalizationHook compares.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        size=(288, 288),
        test_cfg=dict(size_divisor=16)),
    backbone=dict(
        type='TimmFeatureMaps',
        model_name='tf_efficientnet_lite0',
        # timm's own; or a file, such as the one that
        # tools/model_converters/efficientnet_lite0.py writes.
        pretrained=True,
        output_stride=16,
        # For the head's `correlation`: strides 8 and 16.
        out_indices=(2, 3),
        # The stem and the stages up to stride 4. The statistics of all norms
        # stay: batches of a small training are too few for them.
        frozen_stages=2,
        norm_eval=True),
    decode_head=dict(
        type='CAMHead',
        num_classes=3,
        in_channels=1280,
        # Chosen together with the test's scales, by held-out tags; see
        # benchmarks/photos.
        background=dict(threshold=.4)),
    test_cfg=dict(mode='whole'))
