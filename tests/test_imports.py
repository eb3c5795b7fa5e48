"""Who may import whom (the rooms of the package)."""

import ast
from pathlib import Path

import pytest

import mmseg_weakclip

PACKAGE = Path(mmseg_weakclip.__file__).parent
SYSTEMS = {'models.weakclip', 'models.excel', 'models.clims', 'models.segclip'}
SHARED = {
    'models.cam',
    'models.clip',
    'models.losses',
    'models.refine',
}
OUTER = {'datasets', 'engine', 'evaluation', 'toyland'}
# Each room, and the rooms of ours that it may import.
ALLOWED = {
    'models.clip': set(),
    'models.refine': set(),
    'models.cam': {'models.clip', 'models.refine'},
    'models.losses': {'models.refine'},
    'datasets': {'toyland'},
    'toyland': {'models.clip'},
    'evaluation': {'models.refine', 'datasets'},
    'report': {'datasets', 'evaluation'},
    'engine': {'models.clip', 'datasets', 'evaluation'},
    'annotations': {'datasets'},
    'export': {'models.clip', 'datasets', 'engine'},
    'demo': {'models.clip', 'datasets', 'engine'},
    'wsss': {'models.clip', 'datasets', 'evaluation'},
    **dict.fromkeys(SYSTEMS, SHARED),
}


def room_of(module: str) -> str | None:
    """'models.clip.vit' -> 'models.clip'; None for files beside the rooms."""
    for room in ALLOWED:
        if module == room or module.startswith(f'{room}.'):
            return room
    return None


def imported_modules(path: Path) -> set[str]:
    """Modules of the package that a file imports, without its name."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            module = '.'.join((*base, *filter(None, [node.module])))
            names = [f'mmseg_weakclip.{module}'] + [
                f'mmseg_weakclip.{module}.{alias.name}' for alias in node.names
            ]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        else:
            continue
        found.update(
            name.removeprefix('mmseg_weakclip').strip('.')
            for name in names
            if name.startswith('mmseg_weakclip')
        )
    return found


@pytest.mark.parametrize(
    'path',
    [
        path
        for path in sorted(PACKAGE.rglob('*.py'))
        if room_of('.'.join(path.relative_to(PACKAGE).with_suffix('').parts))
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_rooms_keep_to_their_doors(path):
    room = room_of('.'.join(path.relative_to(PACKAGE).with_suffix('').parts))
    visited = {room_of(name) for name in imported_modules(path)} - {None, room}
    assert visited <= ALLOWED[room], f'{path} imports {visited}'


def test_the_rule_can_fail():
    source = PACKAGE / 'models/cam/base.py'
    rooms = {room_of(name) for name in imported_modules(source)}
    assert {'models.clip', 'models.refine'} <= rooms


def test_models_holds_shared_rooms_and_systems():
    rooms = {
        f'models.{path.name}'
        for path in (PACKAGE / 'models').iterdir()
        if path.is_dir() and path.name != '__pycache__'
    }
    assert rooms >= SHARED
    assert rooms - SHARED <= SYSTEMS


def test_no_device_is_named_in_the_package():
    for path in PACKAGE.rglob('*.py'):
        assert '.cuda()' not in path.read_text(), path


def test_every_part_is_a_name_of_the_package():
    """So that type='mmseg_weakclip.X' works without custom_imports."""
    from mmseg.registry import (
        DATASETS,
        HOOKS,
        METRICS,
        MODELS,
        OPTIM_WRAPPER_CONSTRUCTORS,
        OPTIM_WRAPPERS,
        TRANSFORMS,
    )

    count = 0
    for registry in (
        DATASETS,
        HOOKS,
        METRICS,
        MODELS,
        OPTIM_WRAPPER_CONSTRUCTORS,
        OPTIM_WRAPPERS,
        TRANSFORMS,
    ):
        for name, part in registry.module_dict.items():
            if part.__module__.startswith('mmseg_weakclip'):
                assert getattr(mmseg_weakclip, name) is part, name
                count += 1
    assert count > 20


def test_dotted_names_build():
    from mmseg.registry import MODELS

    part = MODELS.build(
        dict(type='mmseg_weakclip.TextScoreHead', num_classes=3)
    )
    assert part.num_classes == 3
