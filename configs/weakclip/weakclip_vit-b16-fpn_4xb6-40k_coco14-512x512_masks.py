# Pseudo masks of train: tools/test.py THIS CHECKPOINT --tta
_base_ = [
    './weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512.py',
    '../_base_/datasets/image_labels.py',
]

data_root = _base_.data_root
# Some images show no object.
load = _base_.load
load[1]['allow_empty'] = True
test_pipeline = [*load, *_base_.test_pipeline[1:-1], _base_.pack]
tta_pipeline = [*load, _base_.tta_pipeline[1]]
tta_pipeline[-1]['transforms'][-1] = [_base_.pack]
test_dataloader = dict(
    dataset=dict(ann_file='train.txt', pipeline=test_pipeline))
test_evaluator = dict(
    _delete_=True,
    type='PseudoMaskWriter',
    output_dir=f'{data_root}/weakclip',
    crf='deeplab',
    use_labels=True)
