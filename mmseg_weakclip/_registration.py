"""Register the parts with mmseg when its registries come into being.

Importing torch, mmseg and open_clip takes seconds, and a command such as
``weakclip run --help`` needs none of them. So the parts are imported where
mmseg's registries are already there, and otherwise by mmseg's own means: a
registry imports its ``locations`` when it is first asked for something, and
ours is added to them as soon as ``mmseg.registry`` has been imported.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

REGISTRIES = 'mmseg.registry.registry'
PARTS = 'mmseg_weakclip.parts'


def register_with_mmseg() -> None:
    """Register all parts now, or as soon as mmseg has registries."""
    if REGISTRIES in sys.modules:
        import_module(PARTS)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def add_location(registries: ModuleType) -> None:
    """Have every registry of mmseg import the parts when it is first used.

    Args:
        registries: The module ``mmseg.registry.registry``.
    """
    from mmengine.registry import Registry

    from ._compat import prepare_mmseg

    prepare_mmseg()

    for value in vars(registries).values():
        own = isinstance(value, Registry) and value.scope == 'mmseg'
        if own and PARTS not in value._locations:
            # Where mmengine would guess, mmseg is named.
            others = value._locations or ['mmseg.models', 'mmseg.engine']
            value._locations = [PARTS, *others]


class _Finder(MetaPathFinder):
    """Finds mmseg's registries as ever, and sees to the parts behind that."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != REGISTRIES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderWithParts(spec.loader)
        return spec


class _LoaderWithParts(Loader):
    """Runs a module, then adds the parts to its registries."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        add_location(module)
