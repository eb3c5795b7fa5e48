# SegCLIP: CLIP's ViT with a grouping of patches before its last two blocks.
clip = dict(model='ViT-B-16-quickgelu', pretrained='openai')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='WeakSegDataPreProcessor',
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True,
        seg_pad_val=255,
        size=(224, 224)),
    backbone=dict(
        type='GroupingCLIPViT',
        **clip,
        out_indices=(9,),
        frozen=['conv1', 'class_embedding', 'positional_embedding', 'ln_pre'],
        group=dict(type='SemanticGroup', channels=768),
        group_after=10,
        position_mode='bicubic',
        with_tokens=True),
    decode_head=dict(
        type='RegionTextHead',
        num_classes=21,
        text=dict(
            type='TemplateText',
            **clip,
            templates='a photo of a {}.',
            frozen=['token_embedding', 'positional_embedding'],
            foreground_only=True),
        threshold=.8),
    test_cfg=dict(mode='slide', crop_size=(224, 224), stride=(224, 224)))
