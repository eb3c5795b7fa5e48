# +SVC of the ablation: no text enrichment, no bank. tools/test.py THIS writes
# data/VOCdevkit/VOC2012/svc.
_base_ = '../seeds/patch-text_vit-b16-excel_voc12.py'

data_root = _base_.data_root
test_evaluator = dict(output_dir=f'{data_root}/svc', crf=None, par=dict())
