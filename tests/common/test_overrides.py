import argparse

import pytest
from mmengine.config import Config

from mmseg_weakclip.common.overrides import add_override_flag, override
from mmseg_weakclip.common.resources import read_config

TEXT = """
clip = dict(model='ViT', pretrained='openai')
crop_size = (64, 64)
train_pipeline = [dict(type='Load'), dict(type='Crop', size=crop_size)]
unused = 3
model = dict(
    backbone=dict(type='A', **clip), head=dict(text=dict(type='B', **clip)))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""


@pytest.fixture
def cfg():
    return Config.fromstring(TEXT, '.py')


def test_values_that_are_read_are_set(cfg):
    parser = argparse.ArgumentParser()
    add_override_flag(parser)
    args = parser.parse_args(
        ['--cfg-options', 'model.backbone.pretrained=x', 'work_dir=w',
         'randomness.seed=3', 'train_dataloader.dataset.pipeline.1.size=(2,2)']
    )  # fmt: skip
    override(cfg, args.cfg_options)
    assert cfg.model.backbone.pretrained == 'x'
    assert cfg.model.head.text.pretrained == 'openai'
    assert cfg.work_dir == 'w'
    assert cfg.randomness.seed == 3
    assert cfg.train_dataloader.dataset.pipeline[1]['size'] == (2, 2)
    override(cfg, None)


@pytest.mark.parametrize(
    ('key', 'cure'),
    [
        (
            'clip.pretrained',
            'override model.backbone.pretrained, model.head.text.pretrained$',
        ),
        (
            'train_pipeline.1.size',
            r'override train_dataloader.dataset.pipeline.1.size$',
        ),
        ('train_pipeline', 'override train_dataloader.dataset.pipeline$'),
        ('unused', 'override what was made from it, or edit the config'),
        ('modle.backbone', "nothing reads 'modle'; did you mean model"),
        ('clip.new', 'edit the config'),
    ],
)
def test_values_that_nothing_reads(cfg, key, cure):
    before = cfg.to_dict()
    with pytest.raises(ValueError, match=f'--cfg-options {key}: .*{cure}'):
        override(cfg, {key: 'x', 'model.backbone.type': 'C'})
    assert cfg.to_dict() == before


def test_a_published_config():
    cfg = read_config('weakclip_voc')
    message = 'model.backbone.pretrained, model.neck.text.pretrained'
    with pytest.raises(ValueError, match=message):
        override(cfg, {'clip.pretrained': 'file.pt'})
