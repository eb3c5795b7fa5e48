# CC3M and COCO's captions as a stream of tar shards. img2dataset
# (output_format='webdataset', image_size=224, resize_mode='keep_ratio')
# fetches CC3M as data/cc3m_shards; of COCO,
#   python tools/dataset_converters/caption_shards.py \
#       configs/_base_/datasets/coco_captions.py --out data/coco_shards \
#       --short-side 224
# makes 42 shards. 374 shards feed at most 46 workers in each of 8 processes.
_base_ = './coco_captions.py'

train_pipeline = [
    # Without a cache_dir, workers find them anew each time, about 0.1 s each.
    dict(type='FelzenszwalbSuperpixels',
         cache_dir='data/shards_superpixels'),
    *_base_.crop_and_pack,
]
train_dataloader = dict(
    # A stream has an order of its own.
    sampler=None,
    dataset=dict(
        _delete_=True,
        type='WebDatasetCaptions',
        data_root='data',
        shards=['cc3m_shards/{00000..00331}.tar',
                'coco_shards/{00000..00041}.tar'],
        pipeline=train_pipeline))
