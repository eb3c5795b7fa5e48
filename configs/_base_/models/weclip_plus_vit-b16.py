# WeCLIP+ (TPAMI 2025): a frozen CLIP beside a frozen DINOv2, one decoder for
# both; the labels are made while it learns.
_base_ = './excel_vit-b16.py'

# The width of the second model, and its name in timm.
dinov2 = dict(model='vit_small_patch14_dinov2.lvd142m')
entropy = dict(type='BalancedCELoss')
model = dict(
    type='GuidedEncoderDecoder',
    guide=dict(
        type='TimmFeatures',
        **dinov2,
        pretrained=True,
        # One normalisation for both models, as published.
        mean=_base_.model.data_preprocessor.mean,
        std=_base_.model.data_preprocessor.std,
        round_down=True),
    backbone=dict(dense=None, attention_layers=6),
    decode_head=dict(
        _delete_=True,
        type='PairedRelationHead',
        num_classes=21,
        text=dict(
            type='TemplateText',
            **_base_.clip,
            templates='clipes',
            aliases='clipes',
            background_words='voc',
            foreground_only=True),
        # The last block but one.
        adapter=dict(type='MultiLayerAdapter', layers=(10,)),
        second_adapter=dict(type='MapAdapter', in_channels=384),
        depth=3,
        class_maps=dict(
            # Computed boxes are not used for VOC in the published code.
            affinity=dict(box_threshold=None),
            grad_cam=dict(),
            calibrate=False),
        gate=True,
        relation_of='both',
        # Where the network is sure, after 60 % of the training.
        loss_decode=[
            dict(type='SelfTargetLoss', loss=entropy, start=.6, threshold=.75),
            dict(
                type='SelfTargetLoss',
                loss=dict(type='BatchDiceLoss'),
                start=.6,
                threshold=.75),
        ],
        cross_loss=dict(type='BalancedCELoss', loss_weight=.1),
        diversity_loss=dict(type='AffinityDiversityLoss')))
