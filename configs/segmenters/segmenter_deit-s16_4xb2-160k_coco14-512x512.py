# Segmenter with DeiT-S on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/segmenter_deit-s16.py',
    '../_base_/datasets/pseudo_masks_coco14.py',
    '../_base_/schedules/segmenter_sgd_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=81))

# Half the batch, a tenth of the learning rate and no decay, as in mmseg.
train_dataloader = dict(batch_size=2)
train_cfg = dict(max_iters=160000, val_interval=16000)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.))
param_scheduler = _base_.param_scheduler
param_scheduler[0]['end'] = 160000
