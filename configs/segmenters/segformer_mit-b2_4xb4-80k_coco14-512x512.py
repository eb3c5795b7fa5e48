# SegFormer with MiT-B2 on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/segformer_mit-b2.py',
    '../_base_/datasets/pseudo_masks_coco14.py',
    '../_base_/schedules/segmenter_adamw_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=81))

# What is new learns ten times as fast.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
