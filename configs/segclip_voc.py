_base_ = './segclip/segclip_vit-b16_voc21.py'
