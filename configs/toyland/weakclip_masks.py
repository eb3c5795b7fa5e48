# Pseudo masks of all images: tools/test.py THIS CHECKPOINT --tta writes
# data/toyland/weakclip.
_base_ = './weakclip.py'

data_root = _base_.data_root
load = [
    dict(type='LoadColorImage'),
    dict(type='LoadImageLabels', ann_file=f'{data_root}/image_labels.json'),
]
finish = [
    dict(type='LoadTruthIfPresent'),
    dict(
        type='PackSegInputs',
        meta_keys=('img_path', 'ori_shape', 'img_shape', 'pad_shape',
                   'scale_factor', 'flip', 'flip_direction', 'image_labels')),
]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side)) for side in (96, 144)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            finish[:1],
            finish[1:],
        ]),
]
test_dataloader = dict(
    dataset=dict(ann_file='', pipeline=[*load, *finish]))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/weakclip',
    crf=dict(gaussian_sxy=1., bilateral_sxy=20., bilateral_srgb=13.),
    use_labels=True)
