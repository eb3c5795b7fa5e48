# The trained classifier on held-out tags: average precision of each class.
# tools/test.py THIS CHECKPOINT
_base_ = './cam_lite0_1xb16-9e_animals-288x288.py'

model = dict(decode_head=dict(predicts='tags'))
test_pipeline = _base_.test_pipeline
# Not the truth.
test_pipeline.pop(3)
test_dataloader = dict(
    dataset=dict(part='held_out', pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, type='TagPrecision')
