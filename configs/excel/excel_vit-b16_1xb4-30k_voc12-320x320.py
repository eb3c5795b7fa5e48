_base_ = [
    '../_base_/models/excel_vit-b16.py',
    '../_base_/datasets/voc12_tags.py',
    '../_base_/schedules/excel_30k.py',
    '../_base_/default_runtime.py',
]

# Logits are averaged, as published.
tta_model = dict(activation='none')
