# CLIMS (CVPR 2022): CLIP criticises the regions that a CAM network marks.
_base_ = './cam_r50.py'

clip = dict(model='ViT-B-32-quickgelu', pretrained='openai')
model = dict(
    # For the critic, to which padding is the exact mean colour.
    data_preprocessor=dict(image_dtype='float32'),
    # All but the first layer's statistics move, unlike the classifier's.
    backbone=dict(norm_eval=False),
    decode_head=dict(
        type='CLIMSHead',
        text=dict(
            type='TemplateText',
            **clip,
            templates='a photo of {}.',
            aliases='clims',
            foreground_only=True),
        critic=clip,
        backgrounds=dict(type='BackgroundTexts', **clip, source='voc'),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=10.),
            dict(type='BackgroundTextLoss', loss_weight=24.),
            # The published sum over about 25 pairs of a batch, as a mean.
            dict(type='BackgroundSuppressionLoss', threshold=.26,
                 loss_weight=25.),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
