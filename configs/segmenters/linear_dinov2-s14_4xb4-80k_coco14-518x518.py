# A linear layer over a frozen DINOv2 (ViT-S/14) on pseudo masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = [
    '../_base_/models/linear_dinov2-s14.py',
    '../_base_/datasets/pseudo_masks_coco14.py',
    '../_base_/schedules/segmenter_adamw_80k.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=81))

# Crops of a user's photos are a multiple of the patch, too.
crop_step = 14
crop_size = (518, 518)
train_pipeline = _base_.train_pipeline
train_pipeline[2]['scale'] = (2072, 518)
train_pipeline[3]['crop_size'] = crop_size
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = (2072, 518)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# DINOv2's own for a linear layer.
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
