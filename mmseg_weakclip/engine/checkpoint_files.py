"""Checkpoints read as data: mmengine's loaders, without code from the file.

mmengine reads checkpoints by ``CheckpointLoader``, for ``load_from``,
``resume``, ``init_cfg=dict(type='Pretrained')`` and backbones with
``pretrained``. If PyTorch refuses to read a file as weights, it reads it again
with all of pickle, which runs what the file says. Importing this module
registers loaders that do not, by mmengine's own ``register_scheme``. The
package imports it with its registered parts, so that this holds for every
config with ``custom_imports=dict(imports=['mmseg_weakclip'])``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, get_torchvision_models
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
)

from mmseg_weakclip.models.clip.weight_files.reading import read_file

from .checkpoint_objects import STAND_INS, restore_objects

# The text of a config, which mmengine would run when it resumes.
CONFIG_TEXT = 'config'
STORES = (r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://')

MapLocation = Callable | torch.device | str | dict | None


def read_checkpoint_file(
    path: str | Path, map_location: MapLocation = 'cpu'
) -> dict[str, Any]:
    """Read a checkpoint and run no code from it.

    Args:
        path: Checkpoint of mmengine, a state dict, safetensors, or
            TorchScript archive.
        map_location: Device of the tensors, as ``torch.load`` takes it; of
            safetensors and TorchScript always the CPU.

    Returns:
        What the file holds: tensors, containers, numbers, strings, arrays of
        NumPy and ``HistoryBuffer``. The text of a config in its ``meta`` is
        left out: mmengine would run it.

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file holds something else, or is damaged. The message
            names the file and says what it seems to be.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'the checkpoint {path} does not exist')
    loaded = read_file(path, stand_ins=STAND_INS, map_location=map_location)
    if not isinstance(loaded, dict):
        raise ValueError(
            f'{path} cannot be read: it holds a {type(loaded).__name__}, not '
            'a checkpoint or a dict of tensors'
        )
    try:
        restore_objects(loaded)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
    meta = loaded.get('meta')
    if isinstance(meta, dict) and meta.pop(CONFIG_TEXT, None) is not None:
        print_log(
            f'{path}: the config in it is left out, since it could run code',
            'current',
        )
    return loaded


def load_from_file(filename: str, map_location: MapLocation) -> dict:
    """Load a file; see :func:`read_checkpoint_file`."""
    return read_checkpoint_file(filename, map_location)


def load_from_address(filename: str, map_location: MapLocation) -> dict:
    """Download a file into PyTorch's cache, unless it is there, and load it.

    In distributed work the main process downloads it for all.

    Raises:
        ValueError: See :func:`read_checkpoint_file`.
    """
    name = Path(urlparse(filename).path).name
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if is_main_process() and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print_log(f'downloads {filename} to {path}', 'current')
        torch.hub.download_url_to_file(filename, str(path), progress=False)
    barrier()
    return read_checkpoint_file(path, map_location)


def load_from_torchvision(filename: str, map_location: MapLocation) -> dict:
    """Load weights of torchvision, ``torchvision://resnet50``."""
    return load_from_address(
        _address(filename, get_torchvision_models()), map_location
    )


def load_from_openmmlab(filename: str, map_location: MapLocation) -> dict:
    """Load weights of OpenMMLab, ``open-mmlab://resnet50_v1c``."""
    scheme, _, name = filename.partition('://')
    name = get_deprecated_model_names().get(name, name)
    address = _address(f'{scheme}://{name}', get_external_models())
    if '://' not in address:
        raise ValueError(
            f'{filename} is a file of mmengine, {address}: give the file'
        )
    return load_from_address(address, map_location)


def load_from_mmcls(filename: str, map_location: MapLocation) -> dict:
    """Load a backbone of mmpretrain, ``mmcls://vgg11``."""
    loaded = load_from_address(
        _address(filename, get_mmcls_models()), map_location
    )
    prefix = 'backbone.'
    state = {
        name.removeprefix(prefix): value
        for name, value in loaded.get('state_dict', loaded).items()
        if name.startswith(prefix)
    }
    return dict(state_dict=state)


def load_from_store(filename: str, map_location: MapLocation) -> dict:
    """Refuse a file in a store of objects.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f'{filename} is in a store whose files mmengine unpickles: download '
        'it, and give the file'
    )


def _address(filename: str, known: dict[str, str]) -> str:
    scheme, _, name = filename.partition('://')
    if name not in known:
        raise ValueError(f'{scheme}:// has no weights of the name {name!r}')
    return known[name]


def register_loaders() -> None:
    """Put the loaders of this module in the place of mmengine's."""
    loaders: dict[Callable, tuple[str, ...]] = {
        load_from_file: ('',),
        load_from_address: ('http://', 'https://'),
        load_from_torchvision: ('modelzoo://', 'torchvision://'),
        load_from_openmmlab: ('open-mmlab://', 'openmmlab://'),
        load_from_mmcls: ('mmcls://',),
        load_from_store: STORES,
    }
    for loader, prefixes in loaders.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


register_loaders()
