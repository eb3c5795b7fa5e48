# DeepLabV2 over ResNet-101 at output stride 8, its norms frozen. It sees
# images at 1, 0.75 and 0.5 of their size, in training and in tests.
model = dict(
    type='MultiScaleSegmentor',
    pretrained='torchvision://resnet101',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(321, 321)),
    backbone=dict(
        type='ResNet',
        depth=101,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(3,),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=2048,
        num_classes=21,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='whole'))
