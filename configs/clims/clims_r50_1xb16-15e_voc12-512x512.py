# CLIMS as its repository has it today, CLIP given what it was trained on.
# Starts from the classifier's maps: train
# cam/cam_r50_1xb16-5e_voc12-512x512.py first. tools/test.py THIS CHECKPOINT
# --tta writes data/VOCdevkit/VOC2012/clims.
_base_ = [
    '../_base_/models/clims_r50.py',
    '../_base_/datasets/voc12_cam.py',
    '../_base_/schedules/cam_sgd.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/cam_r50_1xb16-5e_voc12-512x512/iter_3305.pth'
train_cfg = dict(max_iters=9915)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=9915, by_epoch=False),
]
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims')
tta_model = dict(type='CAMTTAModel')
