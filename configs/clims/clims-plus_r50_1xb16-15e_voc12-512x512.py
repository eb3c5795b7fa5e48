# CLIMS+: contrast of regions and texts in place of three losses, with
# backgrounds found for each image by tools/extract_backgrounds.py
# configs/clims/extract_voc12.py, and CLIMS's list where none is found. The
# weights are ours: none are published.
_base_ = './clims_r50_1xb16-15e_voc12-512x512.py'

data_root = _base_.data_root
model = dict(
    decode_head=dict(
        backgrounds=dict(
            source=f'{data_root}/backgrounds.json', fallback='voc'),
        losses=[
            dict(type='InfoNCERegionLoss', form='eq9', loss_weight=10.),
            dict(type='ActivationAreaLoss', loss_weight=.2),
        ]))
test_evaluator = dict(output_dir=f'{data_root}/clims_plus')
