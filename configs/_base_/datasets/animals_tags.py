# VOC 2012's photos of six classes, 1,200 of train and 445 of val, with all of
# VOC's labels and masks; pixels of the other classes do not count.
_base_ = './photos_tags.py'

data_root = 'data/VOC_animals'
lists = 'ImageSets/Segmentation'
dataset = dict(
    type='WeakVOC12Dataset',
    data_root=data_root,
    data_prefix=dict(img_path='JPEGImages'),
    metainfo=dict(
        _delete_=True,
        classes=('background', 'cat', 'cow', 'dog', 'horse', 'person',
                 'sheep')))
load = _base_.load
load[1].update(subset_of='voc')
train_pipeline = [*load, *_base_.train_pipeline[2:]]
test_pipeline = [*load, *_base_.test_pipeline[2:]]
tta_pipeline = [*load, *_base_.tta_pipeline[2:]]
train_dataloader = dict(
    dataset=dict(
        **dataset, ann_file=f'{lists}/train.txt', pipeline=train_pipeline))
test_dataloader = dict(
    dataset=dict(
        **{**dataset, 'data_prefix': dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass')},
        ann_file=f'{lists}/train.txt',
        pipeline=test_pipeline))
test_evaluator = dict(output_dir=f'{data_root}/cam')
