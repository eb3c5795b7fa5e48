# ExCEL without training (SVC + TSE), with attention affinity and PAR.
# tools/test.py THIS writes data/VOCdevkit/VOC2012/excel.
_base_ = '../seeds/patch-text_vit-b16-excel_voc12.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='AttributeText',
            text=_base_.model.decode_head.text,
            bank=dict(descriptions='voc', clusters=112))))
test_evaluator = dict(output_dir=f'{data_root}/excel', crf=None, par=dict())
