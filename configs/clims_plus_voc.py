_base_ = 'clims/clims-plus_r50_1xb16-15e_voc12-512x512.py'
