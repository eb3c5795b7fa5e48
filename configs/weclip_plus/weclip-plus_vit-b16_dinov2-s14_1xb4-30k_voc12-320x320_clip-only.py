# Ablation: CLIP alone, with the gate, Dice and self-targets. Needs no DINOv2.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    guide=None,
    decode_head=dict(second_adapter=None, cross_loss=None))
