"""Weakly supervised segmentation with CLIP, as parts for mmsegmentation.

Importing the package registers every part with mmsegmentation. All of them
are names of this package too, so ``type='mmseg_weakclip.CLIPViT'`` works in
any config. Toyland's class names and its CLIP are known as well.
"""

from importlib import import_module
from typing import Any

from . import toyland as _toyland  # noqa: F401  (its class names, its CLIP)
from ._registration import register_with_mmseg
from .version import __version__

__all__ = ['__version__']

register_with_mmseg()


def __getattr__(name: str) -> Any:
    """Return a registered part, importing all of them at the first."""
    if not name.startswith('_'):
        parts = import_module(f'{__name__}.parts')
        if name in parts.__all__:
            return getattr(parts, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
