# What stands behind each class of VOC 2012, image by image, for CLIMS+:
# tools/extract_backgrounds.py THIS writes
# data/VOCdevkit/VOC2012/backgrounds.json.
_base_ = ['../_base_/datasets/voc12_tags.py', '../_base_/default_runtime.py']

train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, _base_.pack]))
background_extractor = dict(
    model='ViT-B-32-quickgelu',
    pretrained='openai',
    vocabulary='open',
    aliases='voc',
    out=f'{_base_.data_root}/backgrounds.json')
