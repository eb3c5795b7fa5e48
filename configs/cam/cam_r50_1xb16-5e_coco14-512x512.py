# Stage 0 for COCO, five epochs.
_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/coco14_cam.py',
    '../_base_/schedules/cam_sgd.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=81))
train_cfg = dict(max_iters=25865)
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=25865, by_epoch=False),
]
tta_model = dict(type='CAMTTAModel')
