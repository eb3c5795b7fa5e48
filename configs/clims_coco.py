_base_ = 'clims/clims_r50_2xb16-8e_coco14-512x512.py'
