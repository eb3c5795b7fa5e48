# DeepLabV3+ with ResNet-101 on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = './deeplabv3plus_r50_4xb4-80k_coco14-512x512.py'

model = dict(
    pretrained='open-mmlab://resnet101_v1c', backbone=dict(depth=101))
