# Class maps of a trained ExCEL, refined by PAR: tools/test.py THIS CHECKPOINT
# writes data/VOCdevkit/VOC2012/excel_trained.
_base_ = './excel_vit-b16_1xb4-30k_voc12-320x320.py'

data_root = _base_.data_root
model = dict(decode_head=dict(predicts='cams'))
test_pipeline = [
    *_base_.load, _base_.test_pipeline[1], dict(type='LoadTruthIfPresent'),
    _base_.pack
]
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
    output_dir=f'{data_root}/excel_trained',
    activation='none',
    use_labels=True,
    par=dict())

# Predicting maps takes labels, which validation does not have.
train_dataloader = train_cfg = optim_wrapper = param_scheduler = None
val_dataloader = val_cfg = val_evaluator = None
