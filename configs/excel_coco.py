_base_ = './excel/excel_vit-b16_1xb4-100k_coco14-320x320.py'
