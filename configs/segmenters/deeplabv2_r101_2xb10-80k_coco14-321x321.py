# DeepLabV2 with ResNet-101 on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
# There is no published schedule for COCO: VOC's, as long as the others here.
_base_ = [
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/datasets/pseudo_masks_coco14_own-size.py',
    '../_base_/schedules/segmenter_sgd_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=81))

crop_size = (321, 321)
train_pipeline = _base_.train_pipeline
train_pipeline[2]['ratio_range'] = (.5, 2.)
train_pipeline[3]['crop_size'] = crop_size
train_pipeline = [
    t for t in train_pipeline if t['type'] != 'PhotoMetricDistortion'
]
train_dataloader = dict(
    batch_size=10, dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4),
    paramwise_cfg=dict(
        custom_keys={
            'decode_head': dict(lr_mult=10.),
            **{f'decode_head.conv_seg.{i}.bias':
               dict(lr_mult=20., decay_mult=0.) for i in range(4)},
        }))
param_scheduler = _base_.param_scheduler
param_scheduler[0]['eta_min'] = 0.
