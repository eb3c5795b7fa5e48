# Pseudo masks of all images: tools/test.py THIS CHECKPOINT --tta writes
# data/toyland/weakclip.
_base_ = ['./weakclip.py', '../_base_/datasets/image_labels.py']

data_root = _base_.data_root
enlarge = _base_.test_pipeline[1]
finish = [
    dict(type='LoadTruthIfPresent'),
    _base_.pack,
]
tta_pipeline = [
    *_base_.load,
    dict(
        type='TestTimeAug',
        transforms=[
            [enlarge],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
test_dataloader = dict(
    dataset=dict(ann_file='', pipeline=[*_base_.load, enlarge, *finish]))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/weakclip',
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.),
    use_labels=True)
