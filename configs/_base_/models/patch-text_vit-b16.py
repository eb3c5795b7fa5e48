# Zero-shot segmentation along a dense path of CLIP, in windows of CLIP's size.
clip = dict(model='ViT-B-16-quickgelu', pretrained='openai')
model = dict(
    type='ZeroShotSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
        bgr_to_rgb=True),
    backbone=dict(type='CLIPViT', **clip, with_tokens=True),
    decode_head=dict(
        type='PatchTextHead',
        text=dict(
            type='TemplateText',
            **clip,
            templates='imagenet',
            synonyms='keep')),
    # As many windows at once as have this number of pixels: 20.
    test_cfg=dict(
        mode='slide',
        crop_size=(224, 224),
        stride=(112, 112),
        batch_pixels=2**20))
