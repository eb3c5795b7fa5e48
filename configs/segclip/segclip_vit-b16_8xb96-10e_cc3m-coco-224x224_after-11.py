# Ablation: grouping after 11 of 12 blocks.
_base_ = './segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py'

model = dict(backbone=dict(out_indices=(10,), group_after=11))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={
    f'{_base_.blocks}.10.': dict(lr_mult=1e-3)}))
