# COCO 2014, images and image labels: what seeds are made of.
_base_ = './voc12_labels.py'

data_root = 'data/coco14'
# Some images show no object.
load = _base_.load
load[1]['allow_empty'] = True
test_pipeline = [*load, *_base_.test_pipeline[2:]]
tta_pipeline = [*load, *_base_.tta_pipeline[2:]]
test_dataloader = dict(
    dataset=dict(
        type='WeakCOCO14Dataset',
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(img_path='images', seg_map_path='class_labels'),
        pipeline=test_pipeline))
test_evaluator = dict(output_dir=f'{data_root}/seeds')
