# The behaviour of the published code for COCO: the head over COCO's 91 ids,
# and what the released config of VOC has.
_base_ = [
    '../_base_/models/weakclip_vit-b16_released.py',
    '../_base_/datasets/coco14_seeds.py',
    '../_base_/schedules/weakclip_20k_released.py',
    '../_base_/default_runtime.py',
]

# Ten of the ids never occur.
num_classes = 91
model = dict(
    neck=dict(num_classes=num_classes),
    decode_head=dict(num_classes=num_classes),
    auxiliary_head=dict(num_classes=num_classes))

# Crops are chosen by the seeds.
train_pipeline = _base_.train_pipeline
train_pipeline[3]['cat_max_ratio'] = .75
dataset_type = 'WeakCOCO14Dataset91'
train_dataloader = dict(
    dataset=dict(type=dataset_type, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=40000, val_interval=4000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=1500, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=40000, eta_min=1e-6, end=40000,
         by_epoch=False),
]
