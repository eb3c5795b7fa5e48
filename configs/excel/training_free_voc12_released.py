# ExCEL without training as its code runs it, with the settings of the released
# config of the training: images of 320 x 320 whatever their shape, and PAR on
# those, enlarged. tools/test.py THIS writes
# data/VOCdevkit/VOC2012/excel_released and scores it on train.
_base_ = './training_free_voc12.py'

data_root = _base_.data_root
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(check_normalization=False),
    decode_head=dict(
        norm_axis='token',
        class_token_extremes=True,
        affinity=dict(
            layer_weights=(1, 12, 12, 12, 12, 12), published_boxes=True)))
test_pipeline = [
    *_base_.load,
    dict(type='Resize', scale=(320, 320), keep_ratio=False),
    *_base_.finish,
]
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt', pipeline=test_pipeline))
test_evaluator = dict(
    output_dir=f'{data_root}/excel_released', colors='input')
# One view.
tta_pipeline = tta_model = None
