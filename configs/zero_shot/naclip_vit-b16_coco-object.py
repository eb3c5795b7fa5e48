# COCO-Object with NACLIP's values: background words and a threshold.
_base_ = './patch-text_vit-b16_coco-object.py'

model = dict(
    backbone=dict(dense='naclip'),
    decode_head=dict(threshold=.1))
