# The released code where it departs: CLIP sees ImageNet's normalisation,
# weight decay also in the slot of the momentum, cosines clamped, the
# suppression without a clamp and summed over all pairs, corners aligned when
# regions are resized, a person called a player.
_base_ = './clims_r50_1xb16-15e_voc12-512x512.py'

model = dict(
    decode_head=dict(
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
optim_wrapper = dict(optimizer=dict(momentum=1e-4))
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims_released')
