# Toyland: trained on captions alone, scored on val. Superpixels are kept in
# data/toyland/superpixels; tools/make_superpixels.py finds them beforehand.
_base_ = './toyland_seeds.py'

data_root = 'data/toyland'
crop_size = (96, 96)
train_pipeline = [
    dict(type='LoadColorImage'),
    # Parts of objects of one colour; SegCLIP's own numbers are for 224 pixels.
    dict(type='FelzenszwalbSuperpixels', scale=200, sigma=.5, min_size=40,
         short_side=96, cache_dir=f'{data_root}/superpixels'),
    dict(type='RandomResizedCrop', crop_size=crop_size, scale=(.5, 1.)),
    dict(type='PackCaptionInputs'),
]
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        _delete_=True,
        type='CaptionDataset',
        data_root=data_root,
        ann_file='captions.json',
        split_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages'),
        pipeline=train_pipeline))
