_base_ = 'weakclip/weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512.py'
