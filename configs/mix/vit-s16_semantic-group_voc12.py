# SegCLIP's grouping in a stock ViT segmenter that has never heard of CLIP:
# each patch also knows the group that it belongs to.
_base_ = [
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='EncoderDecoder',
    # ImageNet's, as mmseg's own Segmenter starts from.
    pretrained='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/'
    'segmenter/vit_small_p16_384_20220308-410f6037.pth',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        size=(512, 512)),
    backbone=dict(
        type='VisionTransformer',
        img_size=(512, 512),
        embed_dims=384,
        num_heads=6,
        drop_path_rate=.1,
        final_norm=True,
        norm_cfg=dict(type='LN', eps=1e-6),
        interpolate_mode='bicubic'),
    neck=dict(type='SemanticGroupNeck', channels=384),
    decode_head=dict(
        type='FCNHead',
        in_channels=384,
        channels=384,
        num_convs=0,
        concat_input=False,
        num_classes=21),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
