# Ablation: class maps without the network's probability.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(decode_head=dict(gate=False))
