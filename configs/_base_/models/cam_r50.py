# A classifier whose maps are CAMs, at output stride 16.
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(512, 512),
        # At test time too, or ResNet's maps lose an odd row.
        test_cfg=dict(size_divisor=16)),
    pretrained='torchvision://resnet50',
    backbone=dict(
        type='ResNet',
        depth=50,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 1),
        out_indices=(3,),
        frozen_stages=0,
        norm_eval=True),
    decode_head=dict(type='CAMHead', num_classes=21, in_channels=2048),
    test_cfg=dict(mode='whole'))
