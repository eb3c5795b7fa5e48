"""Every config is whole: its parts exist, and its names tell the truth."""

import re
from collections.abc import Iterable
from pathlib import Path

import mmseg
import open_clip
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner.checkpoint import (
    get_external_models,
    get_torchvision_models,
)
from mmseg.registry import MODELS

from mmseg_weakclip.models.cam.timm_models import timm_normalization
from mmseg_weakclip.models.clip.normalization import weight_normalization
from mmseg_weakclip.models.clip.weights import load_clip

WORDS = r'[a-z0-9]+(-[a-z0-9]+)*'
# A second model beside CLIP.
TIMM = ('TimmAffinity', 'TimmFeatures')
SYSTEMS = [
    'clims_coco.py',
    'clims_plus_voc.py',
    'clims_voc.py',
    'excel_coco.py',
    'excel_voc.py',
    'segclip_voc.py',
    'weakclip_coco.py',
    'weakclip_voc.py',
]
RESNET38 = 'data/pretrained/resnet38d_imagenet.pth'
STYLE = re.compile(rf'(\w+/)?{WORDS}(_{WORDS})*\.py')


def walk(value):
    """All dicts in a nested config."""
    if isinstance(value, dict):
        yield value
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str):
        for inner in value:
            yield from walk(inner)


def stock_weights() -> set[str]:
    """Files that some configs of the installed mmseg start from."""
    folder = Path(mmseg.__file__).parent / '.mim/configs'
    found = set()
    for name in ('segformer', 'segmenter'):
        for path in (folder / name).glob('*.py'):
            found.update(re.findall(r'/(\w+-\w+\.pth)', path.read_text()))
    return found


@pytest.fixture
def cfg(any_config, configs):
    return Config.fromfile(configs / any_config)


def test_name_is_true(any_config, cfg):
    """mmseg's style: ``{method}_{parts}_{gpus}xb{batch}-{iterations}k_...``"""
    assert STYLE.fullmatch(any_config)
    found = re.search(r'xb(\d+)-(\d+)k', any_config)
    if found and cfg.get('train_dataloader'):
        assert cfg.train_dataloader.batch_size == int(found[1])
        assert cfg.train_cfg.max_iters == int(found[2]) * 1000
    if found := re.search(r'(\d+)x(\d+)', any_config.split('xb')[-1]):
        crop = (int(found[1]), int(found[2]))
        parts = walk(cfg.to_dict())
        assert {p['crop_size'] for p in parts if 'crop_size' in p} == {crop}
    for dataset in ('voc12', 'coco14'):
        if dataset in any_config:
            assert dataset in cfg.test_dataloader.dataset.type.lower()


def test_images_are_normalised_for_their_clip(cfg):
    """Or the config says that published code does otherwise."""
    model = cfg.get('model', {})
    backbone = model.get('backbone', {})
    if not str(backbone.get('type')).endswith('CLIPViT'):
        return
    recorded = weight_normalization(backbone.model, backbone.pretrained)
    if recorded and backbone.get('check_normalization', True):
        preprocessor = model.data_preprocessor
        assert tuple(preprocessor.mean) == recorded[0]
        assert tuple(preprocessor.std) == recorded[1]


@pytest.mark.parametrize('name', SYSTEMS)
def test_alias(name, configs):
    (line,) = (configs / name).read_text().splitlines()
    target = re.fullmatch(r"_base_ = '(.*)'", line)[1]
    alias, meant = (Config.fromfile(configs / p) for p in (name, target))
    assert alias.to_dict() == meant.to_dict()


def test_systems_are_all_there_is(configs):
    assert sorted(path.name for path in configs.glob('*.py')) == SYSTEMS


def test_pipelines_build(cfg):
    pipelines = [
        value
        for part in walk(cfg.to_dict())
        for key, value in part.items()
        if str(key).endswith('pipeline')
    ]
    assert pipelines
    for pipeline in pipelines:
        Compose(pipeline)


def test_weights_exist(cfg):
    """Image and text come from one CLIP, whose weights can be had."""
    found = [
        part
        for part in walk(cfg.to_dict())
        if 'pretrained' in part and 'model' in part
    ]
    others = [part for part in found if part.get('type') in TIMM]
    for part in others:
        assert part['pretrained'] is True
        assert timm.is_model_pretrained(part['model'])
    parts = {
        (part['model'], part['pretrained'])
        for part in found
        if part not in others
    }
    assert len(parts) <= 1
    for model, tag in parts:
        known = open_clip.list_pretrained_tags_by_model(model)
        assert tag in known or load_clip(model, tag)
    if name := cfg.get('model', {}).get('pretrained'):
        kind, name = name.split('://')
        known = dict(
            torchvision=get_torchvision_models,
            **{'open-mmlab': get_external_models},
            # Its host differs between mmseg and its forks.
            https=stock_weights,
        )
        name = Path(name).name if kind == 'https' else name
        assert name in known[kind]()
    for part in walk(cfg.get('model', {})):
        if part.get('type') == 'TIMMBackbone':
            assert timm.is_model_pretrained(part['model_name'])
        if part.get('type') == 'TimmFeatureMaps':
            assert part['pretrained'] is True
            assert timm.is_model_pretrained(part['model_name'])
            mean, std = timm_normalization(part['model_name'])
            preprocessor = cfg.model.data_preprocessor
            assert tuple(preprocessor.mean) == mean
            assert tuple(preprocessor.std) == std
            assert preprocessor.bgr_to_rgb
        if part.get('type') == 'Pretrained':
            # A file of the user's own, which a tool of ours writes.
            assert part['checkpoint'] == RESNET38


def test_dumped_config_is_the_same(cfg, tmp_path):
    path = tmp_path / 'dumped.py'
    cfg.dump(path)
    assert Config.fromfile(path).to_dict() == cfg.to_dict()


def test_model_depends_on_the_seed_only(new_parts_config, configs, strip):
    cfg = Config.fromfile(configs / new_parts_config)
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = MODELS.build(strip(cfg.model.to_dict()))
        model.init_weights()
        states.append(model.state_dict())
    first, second = states
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_seeds_are_where_training_looks(
    any_training_config, configs, masks_folders
):
    cfg = Config.fromfile(configs / any_training_config)
    for part in walk(cfg.train_dataloader.to_dict()):
        if 'seg_map_path' in part.get('data_prefix', ()):
            folder = (
                f'{part["data_root"]}/{part["data_prefix"]["seg_map_path"]}'
            )
            assert folder in masks_folders
