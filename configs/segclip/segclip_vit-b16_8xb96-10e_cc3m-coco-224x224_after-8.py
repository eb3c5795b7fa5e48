# Ablation: grouping after 8 of 12 blocks.
_base_ = './segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py'

model = dict(backbone=dict(out_indices=(7,), group_after=8))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
    f'{_base_.blocks}.{block}.': dict(lr_mult=1.)
    for block in (8, 9)}))
