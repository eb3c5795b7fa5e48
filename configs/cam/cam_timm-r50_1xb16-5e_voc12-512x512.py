# The classifier over timm's ResNet-50: weights by timm's name, or a file of a
# whole classifier in model.backbone.pretrained.
_base_ = './cam_r50_1xb16-5e_voc12-512x512.py'

model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='TimmFeatureMaps',
        model_name='resnet50.tv_in1k',
        pretrained=True,
        output_stride=16,
        frozen_stages=1,
        norm_eval=True))
