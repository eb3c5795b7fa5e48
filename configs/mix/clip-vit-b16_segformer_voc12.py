# Four blocks of a frozen CLIP under the stock all-MLP head.
_base_ = './clip-vit-b16-pyramid_upernet_voc12.py'

model = dict(
    backbone=dict(adapter=None),
    decode_head=dict(type='SegformerHead', _delete_=True,
                     in_channels=[768, 768, 768, 768],
                     in_index=[0, 1, 2, 3],
                     channels=256,
                     num_classes=21,
                     norm_cfg=_base_.norm_cfg))
