# CLIMS+ on CLIMS's released code, which its report builds on: eq. 9 and the
# area loss. The report names no weights, no temperature (it cites MoCo) and
# no extractor; those are the ones of the default config.
_base_ = './clims_r50_1xb16-15e_voc12-512x512_released.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        backgrounds=dict(
            source=f'{data_root}/backgrounds.json', fallback='voc'),
        losses=[
            dict(type='InfoNCERegionLoss', form='eq9', loss_weight=10.),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
test_evaluator = dict(output_dir=f'{data_root}/clims_plus_released')
