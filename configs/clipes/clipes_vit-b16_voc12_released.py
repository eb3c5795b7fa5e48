# CLIP-ES with the boxes of its code: from maps of 8 bits, and without their
# last row and column. No training: tools/test.py THIS writes
# data/VOCdevkit/VOC2012/clipes_released.
_base_ = './clipes_vit-b16_voc12.py'

data_root = _base_.data_root
model = dict(decode_head=dict(affinity=dict(published_boxes=True)))
test_evaluator = dict(output_dir=f'{data_root}/clipes_released')
