# +SVC of the ablation in the last block alone, in place of the last five.
_base_ = './training_free_voc12_no-tse.py'

data_root = _base_.data_root
model = dict(
    backbone=dict(dense=dict(_delete_=True, preset='excel', layers=1)))
test_evaluator = dict(output_dir=f'{data_root}/svc1')
