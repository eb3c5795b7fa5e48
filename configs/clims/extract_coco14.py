# What stands behind each class of COCO 2014, image by image, for CLIMS+:
# tools/extract_backgrounds.py THIS writes
# data/coco14/backgrounds.json.
_base_ = ['../_base_/datasets/coco14_tags.py', '../_base_/default_runtime.py']

train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.load, _base_.pack]))
background_extractor = dict(
    model='ViT-B-32-quickgelu',
    pretrained='openai',
    vocabulary='open',
    aliases='coco',
    out=f'{_base_.data_root}/backgrounds.json')
