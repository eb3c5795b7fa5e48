"""Where configs and tools are: in the checkout, or inside the package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# mmseg's plugins have copies of both there when they are installed.
INSTALLED = PACKAGE / '.mim'


def resource_root() -> Path:
    """Return the folder that holds ``configs/`` and ``tools/``.

    A checkout's own come first: they are what is being edited.

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
        name: A path, or the name of a config of this package below
            ``configs/``, with or without ``.py``: ``'toyland/weakclip'``.

    Raises:
        FileNotFoundError: There is none of that name.
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
    raise FileNotFoundError(f'there is no config {name}{hint}')
