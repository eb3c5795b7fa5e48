# A linear layer over DINOv2 (ViT-S/14), all of which is trained, on pseudo
# masks of COCO 2014.
#   tools/train.py THIS --pseudo-masks DIR
_base_ = './linear_dinov2-s14_4xb4-80k_coco14-518x518.py'

model = dict(backbone=dict(frozen_stages=0))

# The backbone learns a tenth as fast; 1e-5 is usual for a tuned ViT.
tuned = dict(lr_mult=.1, decay_mult=0.)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=.01),
    paramwise_cfg=dict(
        _delete_=True,
        vector_decay_mult=0.,
        custom_keys=dict(
            backbone=dict(lr_mult=.1), pos_embed=tuned, cls_token=tuned,
            reg_token=tuned)))
