# WeCLIP+ at toyland's scale, on ExCEL's class maps, which are better here than
# those of Softmax-GradCAM. The second model is not DINOv2: it is
# EfficientNet-Lite0 with timm's ImageNet weights, at twice the size of the
# image; model.guide.pretrained=FILE takes the file of
# tools/model_converters/efficientnet_lite0.py.
_base_ = './excel.py'

entropy = dict(type='BalancedCELoss')
model = dict(
    type='GuidedEncoderDecoder',
    guide=dict(
        type='TimmFeatures',
        model='tf_efficientnet_lite0',
        pretrained=True,
        mean=_base_.model.data_preprocessor.mean,
        std=_base_.model.data_preprocessor.std,
        # Patches of 8 pixels, as those of CLIP: steps of 16 of an image that
        # is twice as large.
        level=3,
        scale=2.),
    decode_head=dict(
        type='PairedRelationHead',
        # The gate of the paper helps its own maps (weclip_plus_grad-cam.py).
        # With these, classes that the network is slow to learn get ever fewer
        # labels (see benchmarks/README.md).
        gate=False,
        second_adapter=dict(
            type='MapAdapter', in_channels=112, channels=64),
        loss_decode=[
            dict(
                type='SelfTargetLoss',
                loss=entropy,
                start=.6,
                threshold=.75),
            dict(
                type='SelfTargetLoss',
                loss=dict(type='BatchDiceLoss'),
                start=.6,
                threshold=.75),
        ],
        cross_loss=dict(type='BalancedCELoss', loss_weight=.1)))
