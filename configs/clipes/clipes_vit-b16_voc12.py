# CLIP-ES (CVPR 2023) whole: images at their own size, and after the CRF a band
# of unsure pixels left out, for its confidence-guided loss. No training:
# tools/test.py THIS writes data/VOCdevkit/VOC2012/clipes.
_base_ = '../seeds/grad-cam_vit-b16_voc12.py'

data_root = _base_.data_root
resize = dict(
    type='ResizeToMultiple', size_divisor=16, interpolation='bicubic')
test_pipeline = [*_base_.load, resize, *_base_.finish]
tta_pipeline = [*_base_.load, _base_.tta_pipeline[-1]]
tta_pipeline[-1]['transforms'][0] = [resize]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_evaluator = dict(output_dir=f'{data_root}/clipes', min_score=.95)
