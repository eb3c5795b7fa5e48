# Six classes of VOC's photos, on a CPU: plain CAMs of EfficientNet-Lite0.
# tools/test.py THIS CHECKPOINT --tta writes data/VOC_animals/cam.
_base_ = [
    '../_base_/models/cam_lite0.py',
    '../_base_/datasets/animals_tags.py',
    '../_base_/schedules/cam_adamw.py',
    '../_base_/default_runtime.py',
]

model = dict(decode_head=dict(num_classes=7))
tta_model = dict(type='CAMTTAModel')
