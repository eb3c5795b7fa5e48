# Ablation: without the Dice loss.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    decode_head=dict(
        loss_decode=[
            dict(
                type='SelfTargetLoss',
                loss=dict(type='BalancedCELoss'),
                start=.6,
                threshold=.75)
        ]))
