# CC3M and COCO's captions, both as files: what SegCLIP was trained on, at
# most 3.7 million captions. img2dataset (output_format='files', image_size=
# 224, resize_mode='keep_ratio') fetches CC3M; rows whose link is dead are
# left out.
_base_ = './coco_captions.py'

cc3m = dict(
    type='CaptionDataset',
    data_root='data/cc3m',
    ann_file='Train_GCC-training.tsv',
    reader=dict(url_names='{folder:05d}/{row:09d}.jpg'),
    missing='skip',
    data_prefix=dict(img_path='images'),
    pipeline=[
        dict(type='LoadColorImage'),
        dict(type='FelzenszwalbSuperpixels',
             cache_dir='data/cc3m/superpixels'),
        *_base_.crop_and_pack,
    ])
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[cc3m, _base_.train_dataloader.dataset]))
