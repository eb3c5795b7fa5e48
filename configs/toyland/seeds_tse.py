# Seeds with enriched texts.
_base_ = './seeds.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='AttributeText',
            text=_base_.model.decode_head.text,
            bank=dict(descriptions='toyland', clusters=40))))
test_evaluator = dict(output_dir=f'{data_root}/seeds_tse')
