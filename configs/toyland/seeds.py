# Seeds of toyland, training-free: tools/test.py THIS --tta writes
# data/toyland/seeds.
_base_ = [
    '../_base_/datasets/toyland_labels.py', '../_base_/default_runtime.py'
]

clip = dict(model='toyclip', pretrained='toyland')
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
        # Heads kept apart and cosines, the paper's reading; its code sums
        # the heads and normalises over tokens.
        dense=dict(preset='excel', heads='keep'),
        with_tokens=True),
    decode_head=dict(
        type='PatchTextCAMHead',
        num_classes=9,
        text=dict(
            type='TemplateText',
            **clip,
            background_words=('water', 'road', 'grass', 'sky', 'sand',
                              'brick'),
            foreground_only=True),
        background=dict(threshold=.5)),
    test_cfg=dict(mode='whole'))
tta_model = dict(activation='none')
