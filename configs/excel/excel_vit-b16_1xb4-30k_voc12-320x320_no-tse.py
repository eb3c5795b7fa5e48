# Without text enrichment: +SVC +LVC of the ablation. Needs no bank.
_base_ = './excel_vit-b16_1xb4-30k_voc12-320x320.py'

model = dict(
    decode_head=dict(
        text=dict(
            _delete_=True,
            type='TemplateText',
            **_base_.clip,
            templates='clipes',
            aliases='clipes',
            background_words='voc',
            foreground_only=True)))
