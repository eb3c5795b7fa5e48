# Toyland without labels and without training: class names alone. Scores val.
_base_ = [
    '../_base_/models/patch-text_vit-b16.py',
    '../_base_/datasets/toyland_seeds.py',
    '../_base_/default_runtime.py',
]

clip = dict(model='toyclip', pretrained='toyland')
model = dict(
    backbone=dict(**clip, dense=dict(preset='excel', heads='keep')),
    decode_head=dict(
        num_classes=9,
        text=dict(
            **clip,
            templates='a photo of a {}.',
            background_words=('water', 'road', 'grass', 'sky', 'sand',
                              'brick'),
            foreground_only=True)),
    test_cfg=dict(_delete_=True, mode='whole'))

# Nothing is trained.
train_dataloader = val_dataloader = val_evaluator = None
test_cfg = dict(type='TestLoop')
