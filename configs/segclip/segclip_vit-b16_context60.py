# PASCAL Context: 59 classes, all else is background.
_base_ = './segclip_vit-b16_voc21.py'

model = dict(
    decode_head=dict(
        num_classes=60,
        text=dict(aliases='segclip_context'),
        threshold=.25))
test_dataloader = dict(
    dataset=dict(
        type='PascalContextDataset',
        data_root='data/VOCdevkit/VOC2010',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
        ann_file='ImageSets/SegmentationContext/val.txt'))
