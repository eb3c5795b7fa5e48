# What stands behind each class of toyland, image by image, for CLIMS+:
# tools/extract_backgrounds.py THIS writes data/toyland/backgrounds.json.
_base_ = ['../_base_/datasets/toyland_tags.py', '../_base_/default_runtime.py']

train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, _base_.pack]))
background_extractor = dict(
    model='toyclip',
    pretrained='toyland',
    vocabulary='toyland',
    # Words this CLIP has never met say the same, and almost 'boat'.
    similarity=.8,
    out=f'{_base_.data_root}/backgrounds.json')
