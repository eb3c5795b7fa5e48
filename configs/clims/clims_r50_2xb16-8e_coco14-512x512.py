# CLIMS for COCO. Starts from the classifier's maps: train
# cam/cam_r50_1xb16-5e_coco14-512x512.py first.
_base_ = [
    '../_base_/models/clims_r50.py',
    '../_base_/datasets/coco14_cam.py',
    '../_base_/schedules/cam_sgd.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(
        num_classes=81,
        backgrounds=dict(source='coco'),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=2.),
            dict(type='BackgroundTextLoss', loss_weight=14.),
            dict(type='BackgroundSuppressionLoss', threshold=.285,
                 loss_weight=60.),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
load_from = 'work_dirs/cam_r50_1xb16-5e_coco14-512x512/iter_25865.pth'
train_cfg = dict(max_iters=20688)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=20688, by_epoch=False),
]
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims')
tta_model = dict(type='CAMTTAModel')
