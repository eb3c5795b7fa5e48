# VOC 2012: trained on pseudo masks of trainaug, scored on val. Where the masks
# are is one option: tools/train.py CONFIG --pseudo-masks DIR
_base_ = './voc12_seeds.py'

train_dataloader = dict(
    batch_size=4,
    dataset=dict(data_prefix=dict(seg_map_path='weakclip/masks')))
