# CLIP's one scale under the stock FPN neck and head.
_base_ = './clip-vit-b16-pyramid_upernet_voc12.py'

model = dict(
    backbone=dict(adapter=None),
    neck=dict(type='FPN', in_channels=[768, 768, 768, 768], out_channels=256,
              num_outs=4),
    decode_head=dict(type='FPNHead', _delete_=True,
                     in_channels=[256, 256, 256, 256],
                     in_index=[0, 1, 2, 3],
                     feature_strides=[16, 16, 16, 16],
                     channels=128,
                     num_classes=21,
                     norm_cfg=_base_.norm_cfg))
