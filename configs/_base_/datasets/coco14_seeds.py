# COCO 2014: trained on seeds of train, scored on 5,000 images of val.
_base_ = './voc12_seeds.py'

dataset_type = 'WeakCOCO14Dataset'
data_root = 'data/coco14'

train_dataloader = dict(
    batch_size=6,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='train.txt',
        data_prefix=dict(img_path='images', seg_map_path='seeds/masks')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='val_5000.txt',
        data_prefix=dict(img_path='images', seg_map_path='class_labels')))
test_dataloader = val_dataloader
