# Class maps of a trained ExCEL, refined by PAR: tools/test.py THIS CHECKPOINT
# --tta writes data/toyland/excel.
_base_ = './excel.py'

data_root = _base_.data_root
finish = [
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
tta_pipeline = [
    *_base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
tta_model = dict(activation='none')
model = dict(decode_head=dict(predicts='cams'))
test_dataloader = dict(
    dataset=dict(ann_file='', pipeline=[*_base_.load, *finish]))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/excel',
    activation='none',
    use_labels=True,
    par=dict())

# Predicting maps takes labels, which validation does not have.
train_dataloader = train_cfg = optim_wrapper = param_scheduler = None
val_dataloader = val_cfg = val_evaluator = None
