# The released head: one class for each of COCO's 91 ids, ten never occur.
_base_ = './weakclip_vit-b16-fpn_4xb6-40k_coco14-512x512.py'

num_classes = 91
model = dict(
    neck=dict(num_classes=num_classes),
    decode_head=dict(num_classes=num_classes),
    auxiliary_head=dict(num_classes=num_classes))
dataset_type = 'WeakCOCO14Dataset91'
train_dataloader = dict(dataset=dict(type=dataset_type))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader
