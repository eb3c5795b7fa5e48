# CLIP-ES at toyland's scale: tools/test.py THIS --tta writes
# data/toyland/clipes.
_base_ = './seeds.py'

data_root = _base_.data_root
model = dict(
    backbone=dict(dense=None, hidden_states=True, attention_layers=4),
    decode_head=dict(
        type='GradCAMHead',
        background=dict(_delete_=True, power=1.),
        affinity=dict(box_threshold=.4)))
test_evaluator = dict(
    output_dir=f'{data_root}/clipes',
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.))
