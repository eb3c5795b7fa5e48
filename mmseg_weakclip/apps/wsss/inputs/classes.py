"""The classes of a run: from the labels, a list, or a YAML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.common.masks import label_colors
from mmseg_weakclip.common.names import (
    BACKGROUND,
    VOCABULARIES,
    NameIndex,
    name_key,
    read_vocabulary,
)

CLASS_KEYS = {'name', 'display', 'prompts', 'color'}
FILE_KEYS = {'classes', 'background'}
MAX_CLASSES = 254


@dataclass(frozen=True)
class ClassInfo:
    """A class that a user asks for.

    Attributes:
        name: Name in the labels.
        display: Name in reports.
        prompts: Names in CLIP's prompts; several are averaged.
        color: RGB, 0 to 255; None takes one of the palette.
    """

    name: str
    display: str
    prompts: tuple[str, ...]
    color: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class ClassList:
    """All foreground classes, and words for the background.

    Attributes:
        classes: Foreground classes in the order of their ids, from 1.
        background: Words for the background; None if the user gave none.
    """

    classes: tuple[ClassInfo, ...]
    background: tuple[str, ...] | None = None
    index: NameIndex = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        try:
            index = NameIndex([info.name for info in self.classes])
        except ValueError as error:
            raise UserError(str(error)) from error
        object.__setattr__(self, 'index', index)
        if index.find(BACKGROUND) is not None:
            raise UserError(
                'the background is class 0 without being listed; remove it '
                'from the classes'
            )
        if not 0 < len(self.classes) <= MAX_CLASSES:
            raise UserError(
                f'{len(self.classes)} classes; masks hold 1 to {MAX_CLASSES}'
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, background first."""
        return (BACKGROUND, *(info.name for info in self.classes))

    @property
    def palette(self) -> list[list[int]]:
        """RGB of the background and of each class."""
        colors = label_colors(len(self.classes) + 1)
        for position, info in enumerate(self.classes, 1):
            if info.color is not None:
                colors[position] = list(info.color)
        return [list(color) for color in colors]


def plain_class(name: str) -> ClassInfo:
    """Return a class that has nothing but a name."""
    return ClassInfo(name, name, (name,))


def read_classes(spec: str) -> ClassList:
    """Read the classes that ``--classes`` gives.

    Args:
        spec: YAML file, or input of ``read_vocabulary``: a known list, a file
            with a name per line, or names separated by commas.

    Raises:
        UserError: The file is missing or has an error.
    """
    path = Path(spec)
    if path.suffix in ('.yaml', '.yml'):
        if not path.is_file():
            raise UserError(f'--classes {spec} does not exist')
        return parse_classes(_load_yaml(path), spec)
    try:
        names = read_vocabulary(spec)
    except (OSError, ValueError) as error:
        raise UserError(f'--classes: {error}') from error
    if len(names) == 1 and ',' not in spec and names[0] == spec:
        raise UserError(
            f'--classes {spec} is neither a file nor a known list '
            f'({", ".join(VOCABULARIES)}); for a single class write '
            f'"{spec},"'
        )
    return ClassList(tuple(plain_class(name) for name in names))


def _load_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding='utf-8-sig'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = ' '.join(str(error).split())
        raise UserError(f'{path} is not valid YAML: {message}') from error


def parse_classes(content: Any, source: str) -> ClassList:
    """Return the classes in the content of a YAML file.

    Args:
        content: ``{'classes': [...], 'background': [...]}``, each class a
            name or a mapping of CLASS_KEYS.
        source: File name, for messages.

    Raises:
        UserError: The content has another structure.
    """
    if not isinstance(content, Mapping) or not content.get('classes'):
        raise UserError(f'{source} has no list `classes`')
    _check_keys(content, FILE_KEYS, source)
    entries = content['classes']
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise UserError(f'{source}: `classes` is not a list')
    classes = [_parse_class(entry, source) for entry in entries]
    if name_key(classes[0].name) == BACKGROUND:
        classes = classes[1:]
    background = content.get('background')
    if background is not None:
        background = tuple(_strings(background, f'{source}: `background`'))
    return ClassList(tuple(classes), background)


def _parse_class(entry: Any, source: str) -> ClassInfo:
    if not isinstance(entry, Mapping):
        return plain_class(*_strings([entry], f'{source}: a class'))
    if 'name' not in entry:
        raise UserError(f'{source}: the class {dict(entry)} has no `name`')
    (name,) = _strings([entry['name']], f'{source}: a name')
    where = f'{source}: {name!r}'
    _check_keys(entry, CLASS_KEYS, where)
    prompts = entry.get('prompts', [name])
    if isinstance(prompts, str):
        prompts = [prompts]
    color = entry.get('color')
    if color is not None:
        color = _parse_color(color, where)
    (display,) = _strings([entry.get('display', name)], f'{where}, `display`')
    return ClassInfo(
        name,
        display,
        tuple(_strings(prompts, f'{where}, `prompts`')),
        color,
    )


def _check_keys(entry: Mapping, known: set[str], where: str) -> None:
    unknown = sorted(str(key) for key in set(entry) - known)
    if unknown:
        raise UserError(
            f'{where} has `{unknown[0]}`; known are {", ".join(sorted(known))}'
        )


def _strings(values: Any, where: str) -> list[str]:
    """Return stripped names; accept numbers, reject true and false."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise UserError(f'{where} is not a list')
    for value in values:
        wanted = isinstance(value, (str, int)) and not isinstance(value, bool)
        if not wanted or not str(value).strip():
            raise UserError(
                f'{where}: {value!r} is not a name; write it in quotes'
            )
    return [str(value).strip() for value in values]


def _parse_color(color: Any, where: str) -> tuple[int, int, int]:
    if isinstance(color, str) and len(color) == 7 and color[0] == '#':
        try:
            red, green, blue = bytes.fromhex(color[1:])
            return red, green, blue
        except ValueError:
            pass
    if (
        isinstance(color, Sequence)
        and len(color) == 3
        and all(isinstance(v, int) and 0 <= v <= 255 for v in color)
    ):
        red, green, blue = color
        return red, green, blue
    raise UserError(
        f'{where}: the color {color!r} is neither [r, g, b] of 0 to 255 nor '
        '"#rrggbb"'
    )
