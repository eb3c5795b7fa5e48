# UPerNet with DeiT-S on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/upernet_deit-s16.py',
    '../_base_/datasets/pseudo_masks_coco14.py',
    '../_base_/schedules/segmenter_adamw_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(num_classes=81), auxiliary_head=dict(num_classes=81))
