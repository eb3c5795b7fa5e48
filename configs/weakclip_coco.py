_base_ = 'weakclip/weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512.py'
