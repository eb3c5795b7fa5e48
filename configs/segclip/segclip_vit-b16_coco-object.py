# COCO-Object: 80 classes, all else is background. Masks of COCO-Stuff.
_base_ = './segclip_vit-b16_voc21.py'

model = dict(
    decode_head=dict(num_classes=81, text=dict(aliases=None), threshold=.65))
test_dataloader = dict(
    dataset=dict(
        type='COCOObjectDataset',
        data_root='data/coco_stuff164k',
        data_prefix=dict(
            img_path='images/val2017', seg_map_path='annotations/val2017'),
        ann_file=''))
