# Segmenter with DeiT-S, whose weights timm brings. timm hands out maps ahead
# of DeiT's last norm; the decoder normalises what it gets.
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
        out_indices=(11,),
        img_size=(512, 512),
        dynamic_img_size=True,
        drop_path_rate=.1),
    decode_head=dict(
        type='SegmenterMaskTransformerHead',
        in_channels=384,
        in_index=0,
        channels=384,
        embed_dims=384,
        num_layers=2,
        num_heads=6,
        dropout_ratio=0.,
        num_classes=21,
        # Pixels of which a mask is not sure do not thin it out.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(480, 480)))
