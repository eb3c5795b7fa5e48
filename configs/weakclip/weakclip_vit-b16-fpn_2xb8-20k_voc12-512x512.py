# Seeds of trainaug -> a network that knows better.
# Masks from it: weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512_masks.py
_base_ = [
    '../_base_/models/weakclip_vit-b16.py',
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]
