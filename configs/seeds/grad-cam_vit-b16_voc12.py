# CLIP-ES (CVPR 2023): Softmax-GradCAM, attention affinity, dense CRF. No
# training: tools/test.py THIS writes data/VOCdevkit/VOC2012/seeds.
_base_ = [
    '../_base_/models/grad-cam_vit-b16.py',
    '../_base_/datasets/voc12_labels.py',
    '../_base_/default_runtime.py',
]

tta_model = dict(activation='none')
