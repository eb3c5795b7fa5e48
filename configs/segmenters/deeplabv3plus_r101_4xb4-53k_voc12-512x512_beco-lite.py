# BECO-lite (CVPR 2023): two DeepLabV3+ label each other's unsure pixels.
# Make masks in which half of the pixels are unsure first:
#   weakclip refine SEEDS DIR --config CONFIG --threshold T --sure-share .5
#   tools/train.py THIS --pseudo-masks DIR
_base_ = './deeplabv3plus_r101_4xb4-20k_voc12-512x512.py'

model = dict(type='CrossLabelSegmentor', auxiliary_head=None)

# 80 epochs of 16 images, which are 52,910 iterations.
train_cfg = dict(max_iters=53000, val_interval=5300)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=53000, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=5300))
