# COCO 2014 for classifiers; see voc12_cam.py.
_base_ = './voc12_cam.py'

dataset_type = 'WeakCOCO14Dataset'
data_root = 'data/coco14'
# Some images show no object.
load = _base_.load
load[1]['allow_empty'] = True

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(_delete_=True, img_path='images'),
        pipeline=[*load, *_base_.train_pipeline[2:]]))
test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(img_path='images', seg_map_path='class_labels'),
        pipeline=[*load, *_base_.test_pipeline[2:]]))
tta_pipeline = [*load, _base_.tta_pipeline[-1]]
test_evaluator = dict(output_dir=f'{data_root}/cam')
