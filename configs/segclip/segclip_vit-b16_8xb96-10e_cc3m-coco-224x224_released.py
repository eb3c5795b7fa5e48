# The published superpixel loss: hard assignments, a second softmax, and a
# mean over centres too. What it is then worth is at most 0.01. (Mixing of
# images and averaging of ids, its bugs, are not repeated.)
_base_ = './segclip_vit-b16_8xb96-10e_cc3m-coco-224x224.py'

model = dict(
    decode_head=dict(
        superpixel=dict(
            source='hard',
            softmax_again=True,
            reduction='elements',
            loss_weight=1.)))
