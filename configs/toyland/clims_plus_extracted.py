# CLIMS+ with the backgrounds that tools/extract_backgrounds.py
# configs/toyland/extract_backgrounds.py finds for each image.
_base_ = './clims_plus.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        backgrounds=dict(source=f'{data_root}/backgrounds.json')))
test_evaluator = dict(output_dir=f'{data_root}/clims_plus_extracted')
