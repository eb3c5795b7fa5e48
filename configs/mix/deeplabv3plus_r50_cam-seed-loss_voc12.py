# Balanced seeding in a stock DeepLabV3+ that has never heard of CLIP.
_base_ = [
    '../_base_/models/deeplabv3plus_r50.py',
    '../_base_/datasets/voc12_seeds.py',
    '../_base_/schedules/weakclip_20k.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(
        loss_decode=dict(
            _delete_=True, type='CAMSeedLoss', size=(64, 64))),
    auxiliary_head=None,
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
