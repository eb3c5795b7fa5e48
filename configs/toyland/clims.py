# CLIMS at toyland's scale. Starts from cam.py's network:
# work_dirs/cam/iter_2400.pth, or another by --cfg-options load_from=.
_base_ = './cam.py'

clip = dict(model='toyclip', pretrained='toyland')
model = dict(
    decode_head=dict(
        type='CLIMSHead',
        text=dict(
            type='TemplateText',
            **clip,
            templates='a photo of a {}.',
            foreground_only=True),
        critic=clip,
        backgrounds=dict(
            type='BackgroundTexts',
            **clip,
            template='a photo of {}.',
            source='toyland'),
        losses=[
            dict(type='ObjectTextLoss', loss_weight=10.),
            dict(type='BackgroundTextLoss', loss_weight=24.),
            # Just above the cosine at which this CLIP, trained to decide,
            # says yes (0.075). Without a gate, most of the force goes to
            # texts that are denied anyway, and more background is marked
            # than by the classifier. (Seen on val.)
            dict(type='BackgroundSuppressionLoss', threshold=.1,
                 loss_weight=25.),
            dict(type='ActivationAreaLoss', classes='present',
                 loss_weight=1.),
        ]))
load_from = 'work_dirs/cam/iter_2400.pth'
train_cfg = dict(max_iters=400)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type='PolyLR', eta_min=0., power=.9, end=400, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(interval=200))
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims')
