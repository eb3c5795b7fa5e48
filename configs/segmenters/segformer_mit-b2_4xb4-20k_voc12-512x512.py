# SegFormer with MiT-B2 on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/segformer_mit-b2.py',
    '../_base_/datasets/pseudo_masks_voc12.py',
    '../_base_/schedules/segmenter_adamw_20k.py',
    '../_base_/default_runtime.py',
]

# What is new learns ten times as fast.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
