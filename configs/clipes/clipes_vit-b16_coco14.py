# The same for COCO: tools/test.py THIS writes data/coco14/clipes.
_base_ = '../seeds/grad-cam_vit-b16_coco14.py'

data_root = _base_.data_root
resize = dict(
    type='ResizeToMultiple', size_divisor=16, interpolation='bicubic')
test_pipeline = [*_base_.load, resize, *_base_.finish]
tta_pipeline = [*_base_.load, _base_.tta_pipeline[-1]]
tta_pipeline[-1]['transforms'][0] = [resize]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_evaluator = dict(output_dir=f'{data_root}/clipes', min_score=.95)
