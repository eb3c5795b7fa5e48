# Stage 0: plain CAMs of a classifier, five epochs. tools/test.py THIS
# CHECKPOINT --tta writes data/VOCdevkit/VOC2012/cam.
_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/voc12_cam.py',
    '../_base_/schedules/cam_sgd.py',
    '../_base_/default_runtime.py',
]

tta_model = dict(type='CAMTTAModel')
