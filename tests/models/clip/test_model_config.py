"""Models are judged by their configuration, before they are built."""

import importlib.util

import open_clip
import pytest

from mmseg_weakclip.apps.wsss.config_edits import fit_to_clip
from mmseg_weakclip.models.clip.model_config import (
    check_model_config,
    find_config_problem,
    image_tower_size,
    require_tokenizer,
)


@pytest.mark.parametrize(
    ('model', 'reason'),
    [
        ('ViT-B-16', None),
        ('PE-Core-B-16', None),
        ('ViTamin-S', None),
        ('RN50x4', 'ResNet, which has no attention blocks'),
        ('coca_base', 'it is a CoCa'),
        ('convnext_tiny', 'convnext_tiny, a convolutional network'),
        ('MobileCLIP-S1', 'convolutions but for the last stage'),
        ('swin_base_patch4_window7_224', 'confined to windows'),
        ('vit_relpos_medium_patch16_cls_224', 'adds relative positions'),
    ],
)
def test_reasons(model, reason):
    found = find_config_problem(open_clip.get_model_config(model))
    assert (found is None) == (reason is None)
    assert (reason or '') in (found or '')


def test_other_families_of_timm():
    config = open_clip.get_model_config('ViT-B-16-SigLIP')
    config['vision_cfg']['timm_model_name'] = 'resnet18'
    assert 'no ViT of a known kind' in find_config_problem(config)
    config['vision_cfg']['timm_model_name'] = 'hf_hub:some/one'
    assert 'no name of timm' in find_config_problem(config)


def test_packages(monkeypatch):
    roberta = open_clip.get_model_config('roberta-ViT-B-32')
    siglip = open_clip.get_model_config('ViT-B-16-SigLIP2')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(ValueError, match='^some: the text tower roberta-base'):
        check_model_config('some', roberta)
    # Images can be encoded without the tokenizer.
    check_model_config('some', siglip)
    with pytest.raises(ValueError, match='^some: the tokenizer timm/ViT-B'):
        require_tokenizer('some', siglip)
    require_tokenizer('some', open_clip.get_model_config('ViT-B-32'))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: object())
    check_model_config('some', roberta)
    require_tokenizer('some', siglip)


@pytest.mark.parametrize(
    ('model', 'size'),
    [
        ('ViT-L-14', (1024, 24)),
        ('ViT-B-16-SigLIP2', (768, 12)),
        ('PE-Core-T-16-384', (192, 12)),
    ],
)
def test_size_of_the_image_tower(model, size):
    assert image_tower_size(open_clip.get_model_config(model)) == size
    config = dict(
        backbone=dict(out_indices=(3, 5, 7, 11), adapter=dict(channels=512)),
        neck=dict(in_channels=[512] * 4, embed_dim=512),
    )
    fit_to_clip(config, model)
    width, layers = size
    assert config['backbone']['adapter']['channels'] == width
    assert config['backbone']['out_indices'][-1] == layers - 1
    assert config['neck']['in_channels'] == [width] * 4


def test_size_that_is_left_out():
    config = open_clip.get_model_config('ViT-B-16')
    for key in ('width', 'layers'):
        del config['vision_cfg'][key]
    assert image_tower_size(config) == (768, 12)
