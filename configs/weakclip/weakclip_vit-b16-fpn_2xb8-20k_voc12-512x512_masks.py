# Pseudo masks of trainaug: tools/test.py THIS CHECKPOINT --tta
_base_ = [
    './weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512.py',
    '../_base_/datasets/image_labels.py',
]

data_root = _base_.data_root
test_pipeline = [*_base_.load, *_base_.test_pipeline[1:-1], _base_.pack]
tta_pipeline = [*_base_.load, _base_.tta_pipeline[1]]
tta_pipeline[-1]['transforms'][-1] = [_base_.pack]
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
