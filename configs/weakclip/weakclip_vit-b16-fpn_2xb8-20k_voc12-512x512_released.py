# The behaviour of the published code, where it differs from the paper or from
# what was meant. Left out: drop path in the trunk that was to be frozen, the
# unused kNN matrix, and the choice of a checkpoint by pixel truth.
_base_ = './weakclip_vit-b16-fpn_2xb8-20k_voc12-512x512.py'

data_root = _base_.data_root
model = dict(
    # ImageNet's normalisation into CLIP.
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    # lr_mult=0 instead of frozen: the cosine's floor lifts 0 to 1e-6, which
    # moves every weight of CLIP; and the adapter, whose name begins with
    # `backbone`, is as good as untrained.
    # The position table is that of a crop, 32 x 32 patches.
    backbone=dict(
        frozen=False, class_embedding_repeats=2, position_grid=(32, 32)),
    neck=dict(
        text=dict(frozen=False),
        # Only the last layer of each decoder stack has an effect.
        co_attention=dict(chained=False)),
    # The image is aligned by its corners, the logits are not.
    decode_head=dict(boundary_loss=dict(align_corners=True)))
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys={
        'backbone': dict(lr_mult=0.),
        'text.tower': dict(lr_mult=0.),
    }))
# Layers without a gradient would stop DistributedDataParallel.
find_unused_parameters = True

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
