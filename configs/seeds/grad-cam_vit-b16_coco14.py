# CLIP-ES (CVPR 2023) with its settings for COCO. No training: tools/test.py
# THIS writes data/coco14/seeds.
_base_ = [
    '../_base_/models/grad-cam_vit-b16.py',
    '../_base_/datasets/coco14_labels.py',
    '../_base_/default_runtime.py',
]

model = dict(
    decode_head=dict(
        num_classes=81,
        text=dict(background_words='coco'),
        affinity=dict(box_threshold=.7)))
tta_model = dict(activation='none')
