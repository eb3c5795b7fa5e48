# The released code where it departs: CLIP sees ImageNet's normalisation,
# weight decay also in the slot of the momentum, cosines clamped, the
# suppression without a clamp and summed over all pairs, corners aligned when
# regions are resized, a person called a player. Images are resized by Pillow
# and lie at a random place; maps are resized once. Start from
# cam/cam_r50_1xb16-5e_voc12-512x512_released.py.
_base_ = [
    './clims_r50_1xb16-15e_voc12-512x512.py',
    '../_base_/datasets/cam_released.py',
]

model = dict(
    data_preprocessor=dict(test_cfg=None),
    # The first layer's weights rest by their rate, its statistics move.
    backbone=dict(frozen_stages=-1),
    decode_head=dict(
        image_multiple=16,
        text=dict(aliases='clims_released'),
        critic=dict(normalization='imagenet', align_corners=True),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=10., tangent_below=None),
            dict(type='BackgroundTextLoss', loss_weight=24.,
                 tangent_below=None),
            dict(type='BackgroundSuppressionLoss', threshold=.26,
                 reduction='sum', loss_weight=1., tangent_below=None),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
train_dataloader = dict(
    dataset=dict(
        pipeline=[*_base_.load, *_base_.published_train, _base_.pack]))
tta_pipeline = _base_.tta_pipeline
tta_pipeline[-1]['transforms'][0] = _base_.published_scales
load_from = 'work_dirs/cam_r50_1xb16-5e_voc12-512x512_released/iter_3305.pth'
optim_wrapper = dict(
    optimizer=dict(momentum=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.conv1': dict(lr_mult=0.),
            'backbone.bn1': dict(lr_mult=0.),
        }))
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims_released')
