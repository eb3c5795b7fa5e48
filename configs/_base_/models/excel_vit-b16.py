# ExCEL (CVPR 2025): a frozen CLIP, an adapter, a small decoder; the labels
# are made while it learns.
clip = dict(model='ViT-B-16-quickgelu', pretrained='openai')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        # ImageNet's, as published, not CLIP's.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(320, 320)),
    backbone=dict(
        type='CLIPViT',
        **clip,
        check_normalization=False,
        dense='excel',
        with_tokens=True,
        hidden_states=True,
        attention_layers=6),
    decode_head=dict(
        type='IntraCorrelationHead',
        num_classes=21,
        text=dict(
            type='AttributeText',
            text=dict(
                type='TemplateText',
                **clip,
                templates='clipes',
                aliases='clipes',
                background_words='voc',
                foreground_only=True),
            # Built on first use, and kept in ~/.cache/mmseg_weakclip.
            bank=dict(descriptions='voc', clusters=112)),
        adapter=dict(type='MultiLayerAdapter'),
        class_maps=dict(affinity=dict(box_threshold=.79)),
        relation=dict(beta=1., gamma=3.),
        dynamic_start=14000,
        self_target_start=24000,
        loss_decode=dict(type='BalancedCELoss'),
        diversity_loss=dict(type='AffinityDiversityLoss')),
    test_cfg=dict(mode='whole'))
