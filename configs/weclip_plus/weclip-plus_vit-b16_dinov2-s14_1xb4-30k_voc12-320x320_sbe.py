# Super-class boundaries of CD-CLIP (CVPR 2026) besides. The paper has five
# super-classes for VOC, and does not say which.
_base_ = './weclip-plus_vit-b16_dinov2-s14_1xb4-30k_voc12-320x320.py'

model = dict(
    decode_head=dict(
        boundary=dict(
            groups=dict(
                animal=(3, 8, 10, 12, 13, 17),
                vehicle=(1, 2, 4, 6, 7, 14, 19),
                furniture=(9, 11, 18),
                person=(15, ),
                household=(5, 16, 20)),
            text=dict(
                type='TemplateText',
                **_base_.clip,
                names=('animal', 'vehicle', 'furniture', 'person',
                       'household object'),
                templates='clipes',
                background_words='voc'),
            class_maps=_base_.model.decode_head.class_maps,
            min_groups=2,
            loss_weight=.6)))
