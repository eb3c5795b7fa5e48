# Seeds with enriched texts. Needs data/toyland/bank.safetensors:
# tools/build_attribute_bank.py toyland --clusters 40 --model toyclip
# --pretrained toyland --out THAT.
_base_ = './seeds.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='AttributeText',
            text=_base_.model.decode_head.text,
            bank=f'{data_root}/bank.safetensors')))
test_evaluator = dict(output_dir=f'{data_root}/seeds_tse')
