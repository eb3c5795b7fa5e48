# A linear layer over a frozen DINOv2 (ViT-B/14) on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = './linear_dinov2-s14_4xb4-20k_voc12-518x518.py'

model = dict(
    # Or with registers: vit_base_patch14_reg4_dinov2.lvd142m.
    backbone=dict(model_name='vit_base_patch14_dinov2.lvd142m'),
    decode_head=dict(in_channels=[768, 768, 768, 768]))
