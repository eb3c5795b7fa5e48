# WeCLIP+ with DINOv2-L/14: five blocks in the decoder, and the attention of
# all of CLIP's blocks.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    guide=dict(model='vit_large_patch14_dinov2.lvd142m'),
    backbone=dict(attention_layers=12),
    decode_head=dict(depth=5, second_adapter=dict(in_channels=1024)))
