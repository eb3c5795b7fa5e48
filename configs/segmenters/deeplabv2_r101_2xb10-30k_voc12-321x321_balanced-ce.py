# DeepLabV2 with a balanced loss on pseudo masks of VOC 2012.
#   tools/train.py THIS --pseudo-masks DIR
# Background and foreground weigh the same, as in CLIMS; a batch without one of
# them is no NaN here. Any other config:
#   --cfg-options model.decode_head.loss_decode._delete_=True \
#       model.decode_head.loss_decode.type=BalancedCELoss
_base_ = './deeplabv2_r101_2xb10-30k_voc12-321x321.py'

model = dict(
    decode_head=dict(
        loss_decode=dict(type='BalancedCELoss', _delete_=True)))
