# WeCLIP+ with its own class maps, those of Softmax-GradCAM, and their gate.
_base_ = './weclip_plus.py'

model = dict(
    # Four of six blocks, as of clipes.py.
    backbone=dict(dense=None, attention_layers=4),
    decode_head=dict(
        class_maps=dict(
            _delete_=True,
            affinity=dict(box_threshold=None),
            grad_cam=dict(),
            calibrate=False),
        dynamic_start=0,
        gate=True))
