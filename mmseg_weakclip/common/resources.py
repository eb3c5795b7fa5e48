"""Search for configs and tools, in the checkout or inside the package."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parents[1]
# Folder of configs and tools in an installed package, as in mmseg's plugins.
INSTALLED = PACKAGE / '.mim'


def resource_root() -> Path:
    """Return the folder that holds ``configs/`` and ``tools/``.

    Those of a checkout come first, since these are edited.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for root in (PACKAGE.parent, INSTALLED):
        if (root / 'configs/weakclip_voc.py').is_file():
            return root
    raise FileNotFoundError(
        f'{PACKAGE} was installed without its configs; install it again: '
        'pip install --force-reinstall mmseg_weakclip'
    )


def find_config(name: str) -> Path:
    """Return the file of a config.

    Args:
        name: Path, or name of a config of this package below ``configs/``,
            with or without ``.py``, such as ``'toyland/weakclip'``.

    Raises:
        FileNotFoundError: The name is unknown.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = resource_root() / 'configs'
    for own in (folder / name, folder / f'{name}.py'):
        if own.is_file() and own.suffix == '.py':
            return own
    close = sorted(
        file.relative_to(folder).with_suffix('').as_posix()
        for file in folder.rglob('*.py')
        if '_base_' not in file.parts and path.stem in file.stem
    )
    hint = f'; did you mean {", ".join(close[:3])}?' if close else ''
    raise FileNotFoundError(f'cannot find the config {name}{hint}')


def add_config_scopes() -> None:
    """Make our configs and mmsegmentation's usable as ``_base_`` anywhere.

    mmengine resolves ``_base_ = 'mmseg_weakclip::folder/name.py'`` for the
    packages of a table only, and asks for the name of their distribution:
    mmsegmentation's is another one in the maintained releases.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE['mmseg_weakclip'] = 'mmseg_weakclip'
    for name in ('mmsegmentation', 'onedl-mmsegmentation'):
        try:
            version(name)
        except PackageNotFoundError:
            continue
        MODULE2PACKAGE['mmseg'] = name
        break


def read_config(name: str | Path) -> Config:
    """Read a config: a file, or one of this package by its name.

    Args:
        name: Path, or name of a config below ``configs/``, with or without
            ``.py``.

    Raises:
        FileNotFoundError: The name is unknown.
    """
    add_config_scopes()
    config = Config.fromfile(find_config(str(name)))
    _leave_scope(config._cfg_dict)
    return config


def _leave_scope(value: Any) -> None:
    """Remove the scope that mmengine adds to the types in our configs.

    Our parts are in mmseg's registries, and not in a scope of our own.
    """
    if isinstance(value, dict):
        if value.get('_scope_') == PACKAGE.name:
            del value['_scope_']
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            _leave_scope(inner)
