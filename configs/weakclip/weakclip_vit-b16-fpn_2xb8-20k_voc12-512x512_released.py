# The behaviour of the published code, where it differs from the paper or from
# what was meant. Left out: drop path in the trunk that was to be frozen, the
# unused kNN matrix, and the choice of a checkpoint by pixel truth.
_base_ = [
    '../_base_/models/weakclip_vit-b16_released.py',
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k_released.py',
    '../_base_/default_runtime.py',
]

data_root = _base_.data_root
# Crops are chosen by the seeds, and the images of train come twice.
train_pipeline = _base_.train_pipeline
train_pipeline[3]['cat_max_ratio'] = .75
dataset = dict(
    type='WeakVOC12Dataset',
    data_root=data_root,
    data_prefix=dict(img_path='JPEGImages', seg_map_path='seeds/masks'),
    pipeline=train_pipeline)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(ann_file=f'ImageSets/Segmentation/{split}.txt', **dataset)
            for split in ('train', 'trainaug')
        ]))
