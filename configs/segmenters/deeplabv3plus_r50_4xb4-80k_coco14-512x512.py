# DeepLabV3+ with ResNet-50 on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/deeplabv3plus_r50.py',
    '../_base_/datasets/pseudo_masks_coco14.py',
    '../_base_/schedules/segmenter_sgd_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(num_classes=81), auxiliary_head=dict(num_classes=81))
