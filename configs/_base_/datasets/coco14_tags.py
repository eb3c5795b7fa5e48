# COCO 2014: trained on images and their labels alone, scored on 5,000 images
# of val.
_base_ = './voc12_tags.py'

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
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='val_5000.txt',
        data_prefix=dict(img_path='images', seg_map_path='class_labels')))
test_dataloader = val_dataloader
