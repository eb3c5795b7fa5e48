_base_ = './excel/excel_vit-b16_1xb4-30k_voc12-320x320.py'
