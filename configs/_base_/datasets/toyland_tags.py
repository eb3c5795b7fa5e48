# Toyland: trained on images and their labels alone, scored on val.
_base_ = ['./toyland_seeds.py', './image_labels.py']

train_pipeline = [
    *_base_.load,
    dict(type='RandomResize', scale=(96, 96), ratio_range=(.75, 1.75),
         keep_ratio=True),
    dict(type='RandomCrop', crop_size=(96, 96), cat_max_ratio=1.),
    dict(type='RandomFlip', prob=.5),
    _base_.pack,
]
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=train_pipeline))
