# COCO 2014: trained on pseudo masks of train, scored on 5,000 images of val.
# Where the masks are is one option: tools/train.py CONFIG --pseudo-masks DIR
_base_ = './coco14_seeds.py'

train_dataloader = dict(
    batch_size=4,
    dataset=dict(data_prefix=dict(seg_map_path='weakclip/masks')))
