# Ablation: grouping after 6 of 12 blocks.
_base_ = './segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py'

model = dict(backbone=dict(out_indices=(5,), group_after=6))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
    f'{_base_.blocks}.{block}.': dict(lr_mult=1.)
    for block in (6, 7, 8, 9)}))
