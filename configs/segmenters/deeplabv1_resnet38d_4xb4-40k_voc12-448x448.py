# DeepLabV1 with ResNet-38 on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
# As the code of WeakCLIP's last stage trains it. ImageNet's weights come from
# tools/model_converters/resnet38d.py; without: model.backbone.init_cfg=None
_base_ = [
    '../_base_/models/deeplabv1_resnet38d.py',
    '../_base_/datasets/pseudo_masks_voc12_own-size.py',
    '../_base_/schedules/segmenter_sgd_20k.py',
    '../_base_/default_runtime.py',
]

crop_size = (448, 448)
train_pipeline = _base_.train_pipeline
train_pipeline[3]['crop_size'] = crop_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

protocol = dict(crf='weakclip')
train_cfg = dict(max_iters=40000, val_interval=4000)
optim_wrapper = dict(
    optimizer=dict(lr=5e-3),
    paramwise_cfg=dict(
        custom_keys={
            'decode_head': dict(lr_mult=10.),
            'decode_head.conv_seg.bias': dict(lr_mult=20.),
        }))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(eta_min=0., end=40000)
