# Pseudo masks of trainaug: tools/test.py THIS CHECKPOINT --tta
_base_ = './weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512.py'

data_root = _base_.data_root
meta_keys = ('img_path', 'ori_shape', 'img_shape', 'pad_shape',
             'scale_factor', 'flip', 'flip_direction', 'image_labels')
load = [
    dict(type='LoadColorImage'),
    dict(type='LoadImageLabels', ann_file=f'{data_root}/image_labels.json'),
]
test_pipeline = [
    *load,
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadTruthIfPresent'),
    dict(type='PackSegInputs', meta_keys=meta_keys),
]
tta_pipeline = [
    *load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(int(2048 * r), int(512 * r)),
                  keep_ratio=True)
             for r in (.5, .75, 1., 1.25, 1.5, 1.75)],
            [dict(type='RandomFlip', prob=0., direction='horizontal'),
             dict(type='RandomFlip', prob=1., direction='horizontal')],
            [dict(type='LoadTruthIfPresent')],
            [dict(type='PackSegInputs', meta_keys=meta_keys)],
        ]),
]
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/trainaug.txt',
        data_prefix=dict(seg_map_path='SegmentationClassAug'),
        pipeline=test_pipeline))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/weakclip',
    crf='voc12',
    use_labels=True)
