# Patch-text similarity of a dense path, ExCEL's (CVPR 2025) static visual
# calibration here; other presets: model.backbone.dense. No training:
# tools/test.py THIS writes data/VOCdevkit/VOC2012/seeds.
_base_ = './grad-cam_vit-b16_voc12.py'

model = dict(
    backbone=dict(dense='excel', hidden_states=False, attention_layers=6),
    decode_head=dict(
        type='PatchTextCAMHead', affinity=dict(box_threshold=.79)))
