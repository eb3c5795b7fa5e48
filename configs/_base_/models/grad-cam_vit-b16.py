clip = dict(model='ViT-B-16-quickgelu', pretrained='openai')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True),
    backbone=dict(
        type='CLIPViT',
        **clip,
        with_tokens=True,
        hidden_states=True,
        attention_layers=8),
    decode_head=dict(
        type='GradCAMHead',
        num_classes=21,
        text=dict(
            type='TemplateText',
            **clip,
            templates='clipes',
            aliases='clipes',
            background_words='voc',
            foreground_only=True),
        background=dict(power=1.),
        affinity=dict(box_threshold=.4)),
    test_cfg=dict(mode='whole'))
