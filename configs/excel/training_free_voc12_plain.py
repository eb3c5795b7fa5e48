# Plain CLIP, where the ablation begins.
_base_ = './training_free_voc12_no-tse.py'

data_root = _base_.data_root
model = dict(backbone=dict(dense=None))
test_evaluator = dict(output_dir=f'{data_root}/plain')
