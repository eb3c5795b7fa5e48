# PASCAL VOC 2012: 20 classes, with NACLIP's values: whole images.
_base_ = './patch-text_vit-b16_voc20.py'

model = dict(
    backbone=dict(dense='naclip', position_mode='bicubic-offset'),
    test_cfg=dict(_delete_=True, mode='whole'))
