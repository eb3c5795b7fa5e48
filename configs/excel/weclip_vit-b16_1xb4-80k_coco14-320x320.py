# WeCLIP (CVPR 2024) for COCO: eight attention maps are averaged at first, ten
# to pick from once the relation is learnt. Needs no attribute bank.
_base_ = './excel_vit-b16_1xb4-100k_coco14-320x320.py'

model = dict(
    backbone=dict(dense=None, attention_layers=10),
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='TemplateText',
            **_base_.clip,
            templates='clipes',
            aliases='clipes',
            background_words='coco',
            foreground_only=True),
        adapter=dict(layers=tuple(range(11))),
        class_maps=dict(
            affinity=dict(box_threshold=.7, layers=8, relation_layers=10),
            grad_cam=dict(),
            calibrate=False),
        relation='dot',
        dynamic_start=40000))
optim_wrapper = dict(optimizer=dict(lr=2e-3))

train_cfg = dict(max_iters=80000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=51, by_epoch=False),
    dict(type='ConstantLR', factor=1 - 50 / 80000, begin=50, end=80001,
         by_epoch=False),
    dict(type='PolyLR', eta_min=0., power=1., begin=50, end=80001,
         by_epoch=False),
]
# The CRF of its figures, for `weakclip test --protocol`.
protocol = dict(crf='weclip')
