# DeepLabV3+ with ResNet-50 on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/deeplabv3plus_r50.py',
    '../_base_/datasets/pseudo_masks_voc12.py',
    '../_base_/schedules/segmenter_sgd_20k.py',
    '../_base_/default_runtime.py',
]
