# UPerNet with DeiT-S on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/upernet_deit-s16.py',
    '../_base_/datasets/pseudo_masks_voc12.py',
    '../_base_/schedules/segmenter_adamw_20k.py',
    '../_base_/default_runtime.py',
]
