# The small segmenter with balanced seeding in the place of cross entropy.
_base_ = './segmenter.py'

model = dict(
    decode_head=dict(
        loss_decode=dict(_delete_=True, type='CAMSeedLoss', size=(64, 64))
    )
)
