# The same for COCO, with the class names of the published prompts:
# tools/test.py THIS writes data/coco14/clipes_released.
_base_ = './clipes_vit-b16_coco14.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        text=dict(aliases='clipes_coco_published'),
        affinity=dict(published_boxes=True)))
test_evaluator = dict(output_dir=f'{data_root}/clipes_released')
