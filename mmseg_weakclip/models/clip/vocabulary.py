"""Words for prompts: aliases of class names, background words, templates.

The words stand in ``words.json``. Sources of its tables:

``clipes``
    CLIP-ES, CVPR 2023, for VOC and COCO. Synonyms stand in one prompt. The
    template was chosen there for its flat scores over the classes of one
    image. Its background words are ``voc`` and ``coco``; the list for COCO
    lacks the words that name a COCO class or a part of one.
``clipes_coco_published``
    The same words with the names of COCO's classes as the code of CLIP-ES,
    WeCLIP and ExCEL spells them: VOC's for five of them, and ``sknowboard``.
``clims``, ``clims_released``
    CLIMS, CVPR 2022; its released code has ``player`` for ``person``,
    without a reason.
``segclip_voc``, ``segclip_context``
    SegCLIP, ICML 2023: names that its captions use.
``ade20k``, ``cityscapes``, ``coco``, ``coco_stuff``, ``context``, ``voc``
    Our own, for class names that are misspelt, technical, ambiguous or too
    general. With ``synonyms='keep'``, each word has a row of its own.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Names = str | Sequence[str | Sequence[str]]
Aliases = str | Mapping[str, str | Sequence[str]]


@functools.cache
def word_tables(kind: str) -> dict[str, dict | list]:
    """Load the word tables of one kind, by name.

    Args:
        kind: ``'aliases'``, what to say for a class whose name alone
            misleads CLIP; ``'background_words'``, what images show beside
            the classes; or ``'templates'``.
    """
    path = Path(__file__).with_name('words.json')
    return json.loads(path.read_text(encoding='utf-8'))[kind]


def resolve_names(
    names: Names, aliases: Aliases | None = None
) -> tuple[tuple[str, ...], ...]:
    """Return one tuple of synonyms for each class.

    Args:
        names: Class names, each a string or several synonyms; or the name of
            a shipped list of background words.
        aliases: Replacements of some names, one word or several synonyms; or
            the name of a shipped table of aliases.

    Raises:
        ValueError: There is no such list or table, or a name is empty or no
            text.
    """
    if isinstance(names, str):
        names = _look_up('background_words', names, 'list of background words')
    if isinstance(aliases, str):
        aliases = _look_up('aliases', aliases, 'table of aliases')
    aliases = aliases or {}
    names = tuple(names)
    for index, name in enumerate(names):
        if not all(isinstance(synonym, str) for synonym in _several(name)):
            raise ValueError(
                f'class {index} of {len(names)} has the name {name!r}, which '
                'is no text; put it in quotes'
            )
    groups = [
        tuple(
            spoken
            for synonym in _several(name)
            for spoken in _several(aliases.get(synonym, synonym))
        )
        for name in names
    ]
    for index, group in enumerate(groups):
        if not group or not all(name.strip() for name in group):
            raise ValueError(
                f'class {index} of {len(groups)} has an empty name: {group}'
            )
    return tuple(groups)


def resolve_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Return templates as strings with ``{}`` for the name.

    Args:
        templates: One template, several, the name of a shipped set
            (``'clipes'``), or one of mmseg's (``'imagenet'``, ``'vild'``).

    Raises:
        ValueError: A template has no ``{}`` or other fields, there is none,
            or the name is unknown.
    """
    if isinstance(templates, str):
        if '{}' in templates:
            templates = (templates,)
        else:
            templates = _template_set(templates)
    for template in templates:
        if '{}' not in template:
            raise ValueError(
                f'the template {template!r} has no {{}} for the name'
            )
        try:
            template.format('name')
        except (ValueError, LookupError, AttributeError) as error:
            raise ValueError(
                f'the template {template!r} must have {{}} for the name and '
                'no other braces'
            ) from error
    if not templates:
        raise ValueError('templates is empty; give one such as "a {}."')
    return tuple(templates)


def _look_up(kind: str, name: str, what: str) -> dict | list:
    tables = word_tables(kind)
    if name not in tables:
        raise ValueError(f'no {what} {name!r}; there are {sorted(tables)}')
    return tables[name]


def _several(name: str | Sequence[str]) -> tuple[str, ...]:
    several = isinstance(name, Iterable) and not isinstance(name, str)
    return tuple(name) if several else (name,)


def _template_set(name: str) -> Sequence[str]:
    shipped = word_tables('templates')
    if name in shipped:
        return shipped[name]
    # Slow to import, and needed for its own templates alone.
    from mmseg.utils import get_predefined_templates

    try:
        return get_predefined_templates(name)
    except ValueError:
        raise ValueError(
            f'templates={name!r} has no {{}} for the name and is none of '
            f"{sorted(shipped)} or mmseg's"
        ) from None
