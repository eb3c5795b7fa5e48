# The published code for COCO; see the released config of VOC. Class names are
# those of the published prompts.
_base_ = './excel_vit-b16_1xb4-100k_coco14-320x320.py'

model = dict(
    decode_head=dict(
        text=dict(text=dict(aliases='clipes_coco_published')),
        class_maps=dict(
            affinity=dict(
                layer_weights=(1, 12, 12, 12, 12, 12), published_boxes=True),
            norm_axis='token',
            class_token_extremes=True,
            min_support=None),
        relation=dict(mean='batch')))

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[3] = dict(
    type='RandomPlacement', size=_base_.crop_size, pad_value=0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# Logits are averaged at a fifth of the size, and a CRF follows.
tta_model = dict(average_scale=.2)
test_evaluator = dict(
    _delete_=True, type='ProtocolMetric', crf='excel', fused='logits')
