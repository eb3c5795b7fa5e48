"""Find, replace and check the weights that models start from.

    weakclip weights CONFIG ...

loads all weights that the models of some configs start from, downloads missing
ones, and says which file to put where if that is not possible.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.common.network import require_host
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.datasets.configs import iter_dicts

# Backbone types whose weights timm downloads: mmseg's, and ours.
TIMM, TIMM_MAPS = 'TIMMBackbone', 'TimmFeatureMaps'
# Our other parts over a model of timm; their ``model`` is no CLIP.
TIMM_GUIDES = ('TimmAffinity', 'ProxyTokenAffinity', 'TimmFeatures')
OPEN_MMLAB = 'https://download.openmmlab.com'


def is_clip(part: dict) -> bool:
    """Return whether a part of a config loads a CLIP."""
    return (
        'pretrained' in part
        and isinstance(part.get('model'), str)
        and part.get('type') not in TIMM_GUIDES
    )


def clip_models(model: dict) -> set[tuple[str, str | None]]:
    """Return name and weights of each CLIP that a config uses."""
    return {
        (part['model'], part['pretrained'])
        for part in iter_dicts(model)
        if is_clip(part)
    }


def starting_weights(model: dict) -> Iterator[str]:
    """Yield a model's initial weights: checkpoints, or ``timm:<name>``."""
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
        elif part.get('type') == TIMM_MAPS and weights is True:
            yield f'timm:{part["model_name"]}'
        elif part.get('type') in TIMM_GUIDES:
            # timm's are the default.
            weights = part.get('pretrained', True)
            if weights:
                yield f'timm:{part["model"]}' if weights is True else weights
        elif isinstance(weights, str) and 'model' not in part:
            yield weights


def replace_weights(model: dict, source: str | None) -> None:
    """Replace a model's initial weights by a file or by random weights.

    Args:
        model: Config of the model.
        source: File of weights; None for random weights.
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
        elif part.get('type') == TIMM_MAPS:
            if part.get('pretrained'):
                part['pretrained'] = source
        elif isinstance(part.get('pretrained'), str) and 'model' not in part:
            part['pretrained'] = source


def check_weights(models: Sequence[dict[str, Any]]) -> None:
    """Load all initial weights of models, and download missing ones.

    Args:
        models: Configs of the models.

    Raises:
        UserError: Some weights cannot be loaded; the message says which file
            to put where.
    """
    from mmseg_weakclip.models.clip.weights import load_clip

    clips: set[tuple[str, str | None]] = set()
    others: set[str] = set()
    for model in models:
        clips |= clip_models(model)
        others |= set(starting_weights(model))
    for name, weights in sorted(clips, key=str):
        try:
            load_clip(name, weights)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f'CLIP {name}: {_flat(error)}. Or give a file of weights: '
                '--clip-weights FILE of `weakclip run`, pretrained=FILE in a '
                'config'
            ) from error
    for source in sorted(others):
        try:
            _load(source)
        except Exception as error:  # every loader and network has its own
            raise UserError(
                f'the weights {source} cannot be loaded ({_flat(error)}); '
                f'{_where_to_put(source)}, or train from random weights by '
                '--segmenter-weights none (a classifier: --backbone-weights '
                'none)'
            ) from error


def _load(source: str) -> None:
    """Load weights, which downloads them into their loader's cache."""
    host = _host_to_ask(source)
    if host is not None:
        require_host(host)
    if source.startswith('timm:'):
        import timm

        timm.create_model(source.removeprefix('timm:'), pretrained=True)
    else:
        from mmengine.runner import CheckpointLoader

        from mmseg_weakclip.engine import checkpoint_files  # noqa: F401

        CheckpointLoader.load_checkpoint(source, map_location='cpu')


def _host_to_ask(source: str) -> str | None:
    """Return the host that weights come from; None if they are here."""
    if source.startswith('timm:'):
        from mmseg_weakclip.models.cam.timm_weights import host_of_weights

        return host_of_weights(source.removeprefix('timm:'))
    if '://' not in source:
        return None
    from torch.hub import get_dir

    cache = Path(get_dir()) / 'checkpoints'
    if source.startswith('open-mmlab://'):
        # The file's name has a checksum behind the model's.
        name = source.removeprefix('open-mmlab://')
        return None if list(cache.glob(f'{name}-*.pth')) else OPEN_MMLAB
    name = Path(urlparse(source).path).name
    return None if (cache / name).is_file() else source


def _flat(error: BaseException) -> str:
    return ' '.join(str(error).split()).rstrip('.')


def _where_to_put(source: str) -> str:
    name = Path(urlparse(source).path).name or source
    if '://' not in source and not source.startswith('timm:'):
        return f'{source} must be a file'
    home = os.environ.get('TORCH_HOME', '~/.cache/torch')
    if source.startswith('http'):
        return f'put {name} into {home}/hub/checkpoints'
    return (
        'fetch it where there is a network, and give the file by '
        '--segmenter-weights FILE (of a classifier: --backbone-weights FILE; '
        'of --affinity: --affinity-weights FILE)'
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Check the weights of configs; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    args = parser.parse_args(argv)
    models = [read_config(path).get('model') for path in args.configs]
    try:
        check_weights([model for model in models if model])
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0
