# CLIP's rate is multiplied by 0 instead of freezing it: the cosine's floor
# lifts 0 to 1e-6, which moves every weight of CLIP; and the adapter, whose
# name begins with `backbone`, is as good as untrained.
_base_ = './weakclip_20k.py'

optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys={
        'backbone': dict(lr_mult=0.),
        'text.tower': dict(lr_mult=0.),
    }))
