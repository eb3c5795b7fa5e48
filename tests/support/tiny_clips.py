"""open_clip's models in small: the same kinds of parts, few of each."""

from copy import deepcopy
from typing import Any

import open_clip
import open_clip.factory
import timm
from pytest import MonkeyPatch

VOCABULARY = 100
# Stems of these have a width of their own.
HYBRIDS = ('vit_base_mci', 'vitamin')
PATCHES = 3


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with two layers and little width."""
    config = deepcopy(config)
    vision, text = config['vision_cfg'], config['text_cfg']
    own_name = vision.get('timm_model_name')
    if own_name is None:
        patch = vision['patch_size']
        vision.update(layers=2, width=64, head_width=32)
        vision['image_size'] = PATCHES * patch
    elif not own_name.startswith(HYBRIDS):
        patch = _patch_size(own_name)
    if own_name and own_name.startswith(HYBRIDS):
        patch = 16
    vision['image_size'] = PATCHES * patch
    text.update(layers=2, width=48, heads=4, vocab_size=VOCABULARY)
    text['context_length'] = 12
    # A pool without a projection keeps the width of its trunk.
    config['embed_dim'] = 64
    return config


def _patch_size(name: str) -> int:
    return int(name.partition('patch')[2].partition('_')[0])


def tiny_timm(create: Any) -> Any:
    """Return ``timm.create_model`` for models of two blocks."""

    def build(name: str, **options: Any) -> Any:
        options['depth'] = 2
        if name.startswith(HYBRIDS):
            return create(name, img_size=PATCHES * 16, **options)
        size = PATCHES * _patch_size(name)
        return create(
            name, embed_dim=64, num_heads=4, img_size=size, **options
        )

    return build


def use_tiny_clips(monkeypatch: MonkeyPatch) -> None:
    """Let open_clip build its supported models in small."""
    from mmseg_weakclip.models.clip.model_config import find_config_problem

    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if not find_config_problem(config):
            monkeypatch.setitem(
                open_clip.factory._MODEL_CONFIGS, name, shrink(config)
            )
    monkeypatch.setattr(timm, 'create_model', tiny_timm(timm.create_model))
