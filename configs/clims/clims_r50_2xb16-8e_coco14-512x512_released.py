# The released code for COCO where it departs: as for VOC, with the 88
# published background texts and batch norm over both GPUs. The classifier to
# start from is ours: its published settings for COCO are not known.
_base_ = [
    './clims_r50_2xb16-8e_coco14-512x512.py',
    '../_base_/datasets/cam_released.py',
]

model = dict(
    data_preprocessor=dict(test_cfg=None),
    # The first layer's weights rest by their rate, its statistics move.
    backbone=dict(frozen_stages=-1, norm_cfg=dict(type='SyncBN')),
    decode_head=dict(
        image_multiple=16,
        text=dict(aliases='clims_released'),
        critic=dict(normalization='imagenet', align_corners=True),
        backgrounds=dict(source='coco_published'),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=2., tangent_below=None),
            dict(type='BackgroundTextLoss', loss_weight=14.,
                 tangent_below=None),
            dict(type='BackgroundSuppressionLoss', threshold=.285,
                 reduction='sum', loss_weight=1.25, tangent_below=None),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
train_dataloader = dict(
    dataset=dict(
        pipeline=[*_base_.load, *_base_.published_train, _base_.pack]))
tta_pipeline = _base_.tta_pipeline
tta_pipeline[-1]['transforms'][0] = _base_.published_scales
optim_wrapper = dict(
    optimizer=dict(momentum=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.conv1': dict(lr_mult=0.),
            'backbone.bn1': dict(lr_mult=0.),
        }))
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims_released')
