# DeepLabV2 with ResNet-101 on pseudo masks of VOC 2012: the field's standard.
#   tools/train.py THIS --pseudo-masks DIR
# As most papers train it: 20k steps of 10 images, each two batches of 5. From
# ImageNet's weights of torchvision, so with their mean and deviation; weights
# of Caffe have others, see configs/segmenters/README.md.
_base_ = './deeplabv2_r101_2xb10-30k_voc12-321x321.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomChoice',
    transforms=[
        [dict(type='Resize', scale_factor=factor, keep_ratio=True)]
        for factor in (.5, .75, 1., 1.25, 1.5)
    ])
train_dataloader = dict(batch_size=5, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(accumulative_counts=2)
train_cfg = dict(max_iters=40000, val_interval=4000)
param_scheduler = _base_.param_scheduler
param_scheduler[0]['end'] = 40000
