"""Check the machine and the weights before a run begins."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import timm
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmseg_weakclip.apps.errors import WrongUse
from mmseg_weakclip.datasets.configs import iter_dicts
from mmseg_weakclip.models.clip.weights import load_clip

# Left free on the disk beside what the run is expected to write, in bytes.
RESERVE = 200 * 2**20


def choose_gpus(asked: int | None) -> int:
    """Number of GPUs that the stages use; 0 is the CPU.

    Args:
        asked: By the user; None takes one where there is one.

    Raises:
        WrongUse: There are not so many.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None:
        return min(1, there)
    if asked < 0:
        raise WrongUse(f'--gpus {asked} is negative')
    if asked > there:
        raise WrongUse(
            f'--gpus {asked}, but this machine has {there}'
            + ('' if there else ' (leave --gpus out to run on the CPU)')
        )
    return asked


def choose_workers() -> int:
    """Processes for loading and refinement: the processors we may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_folder(folder: Path) -> None:
    """Make the folder of a run, and see that it can be written.

    Raises:
        WrongUse: It can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'x')
    except OSError as error:
        raise WrongUse(
            f'--work-dir {folder} can not be written: {error.strerror}'
        ) from error


def check_disk(folder: Path, needed: int) -> None:
    """See that a run fits on the disk.

    Args:
        folder: Of the run, or the next one above that exists.
        needed: Bytes that it is expected to write.

    Raises:
        WrongUse: It does not fit.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise WrongUse(
            f'{folder} has {free / 2**30:.1f} GiB left, the run needs about '
            f'{(needed + RESERVE) / 2**30:.1f}; free some, or choose a '
            '--work-dir elsewhere'
        )


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
