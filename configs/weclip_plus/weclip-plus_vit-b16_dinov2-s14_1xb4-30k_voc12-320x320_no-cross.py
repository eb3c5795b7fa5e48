# Ablation: the branches do not learn from each other.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(decode_head=dict(cross_loss=None))
