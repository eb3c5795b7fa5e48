# WeCLIP+ with DINOv2-L/14, whose decoder has five blocks.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    guide=dict(model='vit_large_patch14_dinov2.lvd142m'),
    decode_head=dict(depth=5, second_adapter=dict(in_channels=1024)))
