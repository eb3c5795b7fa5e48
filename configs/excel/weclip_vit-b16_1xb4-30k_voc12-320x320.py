# WeCLIP (CVPR 2024), of ExCEL's parts: GradCAM makes the maps, the relation
# only picks attention maps: eight are averaged at first, six to pick from
# once it is learnt.
_base_ = './excel_vit-b16_1xb4-30k_voc12-320x320_no-tse.py'

model = dict(
    backbone=dict(dense=None, attention_layers=8),
    decode_head=dict(
        adapter=dict(layers=tuple(range(11))),
        class_maps=dict(
            affinity=dict(box_threshold=.4, relation_layers=6),
            grad_cam=dict(),
            calibrate=False),
        relation='dot',
        dynamic_start=15000,
        self_target_start=None))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
# The CRF of its figures, for `weakclip test --protocol`.
protocol = dict(crf='weclip')
