# ExCEL's (CVPR 2025) static visual calibration with its settings for COCO. No
# training: tools/test.py THIS writes data/coco14/seeds.
_base_ = './grad-cam_vit-b16_coco14.py'

model = dict(
    backbone=dict(dense='excel', hidden_states=False, attention_layers=6),
    decode_head=dict(
        type='PatchTextCAMHead', affinity=dict(box_threshold=.88)))
