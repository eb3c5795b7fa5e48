# PASCAL VOC 2012: 20 classes, all else is background, with NACLIP's values:
# whole images, and both background words and a threshold.
_base_ = './patch-text_vit-b16_voc21.py'

model = dict(
    backbone=dict(dense='naclip', position_mode='bicubic-offset'),
    decode_head=dict(logit_scale=40., threshold=.1),
    test_cfg=dict(_delete_=True, mode='whole'))
