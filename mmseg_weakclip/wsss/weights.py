"""Are all weights there before hours of work begin."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from ..models.clip import load_clip
from .config_edits import iter_dicts
from .problems import WrongUse

# Backbones whose weights timm brings.
TIMM = 'TIMMBackbone'


def clip_models(model: dict) -> set[tuple[str, str | None]]:
    """The CLIPs that a config uses: name and weights of each."""
    return {
        (part['model'], part['pretrained'])
        for part in iter_dicts(model)
        if 'pretrained' in part and isinstance(part.get('model'), str)
    }


def starting_weights(model: dict) -> Iterator[str]:
    """What a model's parts start from: checkpoints, or ``timm:<name>``."""
    for part in iter_dicts(model):
        init = part.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            yield init['checkpoint']
        weights = part.get('pretrained')
        if part.get('type') == TIMM:
            if weights is True:
                yield f'timm:{part["model_name"]}'
            if part.get('checkpoint_path'):
                yield part['checkpoint_path']
        elif isinstance(weights, str) and 'model' not in part:
            yield weights


def replace_weights(model: dict, source: str | None) -> None:
    """Have a model's parts start from another file, or from random weights.

    Args:
        model: Its config.
        source: The file; None for random weights.
    """
    for part in iter_dicts(model):
        init = part.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            if source is None:
                part.pop('init_cfg')
            else:
                init['checkpoint'] = source
        if part.get('type') == TIMM:
            if part.get('pretrained'):
                part.update(pretrained=False, checkpoint_path=source or '')
        elif isinstance(part.get('pretrained'), str) and 'model' not in part:
            part['pretrained'] = source


def check_weights(configs: dict[str, Config]) -> None:
    """Load, and download where need be, all that the stages start from.

    Args:
        configs: By stage; those without a model are passed over.

    Raises:
        WrongUse: Some weights can't be had; the message says which file to
            put where.
    """
    clips: set[tuple[str, str | None]] = set()
    others: set[str] = set()
    for config in configs.values():
        model: Any = config.get('model') or {}
        clips |= clip_models(model)
        others |= set(starting_weights(model))
    for name, weights in sorted(clips, key=str):
        try:
            load_clip(name, weights)
        except (OSError, RuntimeError, ValueError) as error:
            raise WrongUse(
                f'CLIP {name}: {_flat(error)}. Or give a file of weights: '
                '--clip-weights FILE'
            ) from error
    for source in sorted(others):
        try:
            _load(source)
        except Exception as error:  # every loader and network has its own
            raise WrongUse(
                f'the weights {source} can not be had ({_flat(error)}); '
                f'{_where_to_put(source)}, or train from random weights by '
                '--segmenter-weights none'
            ) from error


def _load(source: str) -> None:
    """Fetch weights into the cache that their loader has."""
    if source.startswith('timm:'):
        timm.create_model(source.removeprefix('timm:'), pretrained=True)
    else:
        CheckpointLoader.load_checkpoint(source, map_location='cpu')


def _flat(error: BaseException) -> str:
    return ' '.join(str(error).split()).rstrip('.')


def _where_to_put(source: str) -> str:
    name = Path(urlparse(source).path).name or source
    if '://' not in source:
        return f'{source} must be a file'
    home = os.environ.get('TORCH_HOME', '~/.cache/torch')
    if source.startswith('http'):
        return f'put {name} into {home}/hub/checkpoints'
    return (
        'fetch it where there is a network, and give the file by '
        '--segmenter-weights FILE'
    )
