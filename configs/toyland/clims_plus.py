# CLIMS+ with toyland's fixed list of backgrounds; starts as clims.py.
_base_ = './clims.py'

model = dict(
    decode_head=dict(
        losses=[
            dict(type='InfoNCERegionLoss', form='frc_brc', loss_weight=10.),
            dict(type='ActivationAreaLoss', classes='present',
                 loss_weight=1.),
        ]))
test_evaluator = dict(output_dir=f'{_base_.data_root}/clims_plus')
