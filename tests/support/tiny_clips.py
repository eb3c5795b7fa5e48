"""open_clip's models in small: the same kinds of parts, few of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import open_clip
import open_clip.factory
import timm
from timm.models.vitamin import VitCfg

VOCABULARY = 100
CONTEXT = 12
WIDTH = 64
PATCHES = 3


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """Return a supported configuration with two layers and little width."""
    vision, text = dict(config['vision_cfg']), dict(config['text_cfg'])
    if name := vision.get('timm_model_name'):
        patch_size = _patch_size(name)
    else:
        patch_size = vision['patch_size']
        vision.update(layers=2, width=WIDTH, head_width=32)
    vision['image_size'] = PATCHES * patch_size
    text.update(layers=2, width=48, heads=4, vocab_size=VOCABULARY)
    text['context_length'] = CONTEXT
    # An attention pool without a projection keeps the width of its trunk.
    return dict(config, embed_dim=WIDTH, vision_cfg=vision, text_cfg=text)


def _patch_size(name: str) -> int:
    digits = name.partition('patch')[2].partition('_')[0]
    return int(digits or 16)


def _shrink_timm(create: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``timm.create_model`` for models of two blocks."""

    def build(name: str, **options: Any) -> Any:
        options.update(depth=2, img_size=PATCHES * _patch_size(name))
        # The convolutional stem of MobileCLIP-B has a width of its own.
        if not name.startswith('vit_base_mci'):
            options.update(embed_dim=WIDTH, num_heads=4)
        if name.startswith('vitamin'):
            options['embed_cfg'] = VitCfg(
                embed_dim=(16, 32, WIDTH), depths=(1, 1, 1), stem_width=16
            )
        return create(name, **options)

    return build


@contextmanager
def tiny_clips(*names: str) -> Iterator[None]:
    """Let open_clip build some of its models in small."""
    configs = {
        name: shrink(open_clip.get_model_config(name)) for name in names
    }
    with (
        patch.dict(open_clip.factory._MODEL_CONFIGS, configs),
        patch.object(timm, 'create_model', _shrink_timm(timm.create_model)),
    ):
        yield
