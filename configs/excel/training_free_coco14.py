# The same for COCO, with a bank of 224.
# tools/test.py THIS writes data/coco14/excel.
_base_ = '../seeds/patch-text_vit-b16-excel_coco14.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='AttributeText',
            text=_base_.model.decode_head.text,
            bank=dict(descriptions='coco', clusters=224))))
test_evaluator = dict(output_dir=f'{data_root}/excel', crf=None, par=dict())
