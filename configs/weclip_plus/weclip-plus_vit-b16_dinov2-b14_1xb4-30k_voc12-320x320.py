# WeCLIP+ with DINOv2-B/14.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    guide=dict(model='vit_base_patch14_dinov2.lvd142m'),
    decode_head=dict(second_adapter=dict(in_channels=768)))
