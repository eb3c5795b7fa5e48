# WeCLIP+ with DINOv2-B/14 on COCO 2014 train.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb8-80k_coco14-320x320.py'

model = dict(
    guide=dict(model='vit_base_patch14_dinov2.lvd142m'),
    decode_head=dict(second_adapter=dict(in_channels=768)))
