# The classifier as CLIMS's released code trains it: weight decay also in the
# slot of the momentum, PyTorch's initial weights of the last layer, images
# resized by Pillow and at a random place, maps resized once.
_base_ = [
    './cam_r50_1xb16-5e_voc12-512x512.py',
    '../_base_/datasets/cam_released.py',
]

model = dict(
    data_preprocessor=dict(test_cfg=None),
    decode_head=dict(
        image_multiple=16,
        # Uniform, standard deviation .013.
        init_cfg=dict(
            type='Kaiming',
            a=5**.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
            override=dict(name='conv_seg'))))
train_dataloader = dict(
    dataset=dict(
        pipeline=[*_base_.load, *_base_.published_train, _base_.pack]))
tta_pipeline = _base_.tta_pipeline
tta_pipeline[-1]['transforms'][0] = _base_.published_scales
optim_wrapper = dict(optimizer=dict(momentum=1e-4))
test_evaluator = dict(output_dir=f'{_base_.data_root}/cam_released')
