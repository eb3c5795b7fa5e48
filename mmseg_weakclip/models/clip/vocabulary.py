"""Words for prompts: aliases of class names, background words, templates.

Data and the functions that look it up. The words are facts about published
systems; their sources stand beside them.
"""

from collections.abc import Mapping, Sequence

from mmseg.utils import get_predefined_templates

from . import synonyms

Names = str | Sequence[str | Sequence[str]]
Aliases = str | Mapping[str, str | Sequence[str]]

# CLIMS, CVPR 2022.
_CLIMS = {
    'diningtable': 'dining table',
    'pottedplant': 'potted plant',
    'tvmonitor': 'tv monitor',
}

# What to say for a class whose name alone misleads CLIP.
ALIASES: dict[str, Mapping[str, str | Sequence[str]]] = {
    # CLIP-ES, CVPR 2023, for VOC and COCO. Synonyms stand in one prompt.
    'clipes': {
        'backpack': 'backpack,bag',
        'baseball glove': 'glove',
        'bird': 'bird avian',
        'chair': 'chair seat',
        'hair drier': 'hairdrier,blowdrier',
        'handbag': 'handbag,purse',
        'person': 'person with clothes,people,human',
        'remote': 'remote control',
        'spoon': 'dessertspoon',
        'tie': 'necktie',
        'tv': 'tvmonitor screen',
        'tvmonitor': 'tvmonitor screen',
        'umbrella': 'umbrella,parasol',
    },
    'clims': _CLIMS,
    # Its code says so without a word of why.
    'clims_released': {**_CLIMS, 'person': 'player'},
    # SegCLIP, ICML 2023: names that its captions use.
    'segclip_voc': {
        'diningtable': 'table',
        'pottedplant': 'plant',
        'tvmonitor': 'monitor',
    },
    'segclip_context': {
        'aeroplane': 'airplane',
        'pottedplant': 'plant',
        'tvmonitor': 'monitor',
    },
    'ade20k': synonyms.ADE20K,
    'cityscapes': synonyms.CITYSCAPES,
    'coco': synonyms.COCO,
    'coco_stuff': synonyms.COCO_STUFF,
    'context': synonyms.CONTEXT,
    'voc': synonyms.VOC,
}

_SCENERY = (
    'ground',
    'land',
    'grass',
    'tree',
    'building',
    'wall',
    'sky',
    'lake',
    'water',
    'river',
    'sea',
    'railway',
    'railroad',
    'helmet',
    'cloud',
    'house',
    'mountain',
    'ocean',
    'road',
    'rock',
    'street',
    'valley',
    'bridge',
)

# What images show beside the classes. CLIP-ES, CVPR 2023; COCO's list lacks
# the words that name a COCO class or a part of one.
BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    'voc': (*_SCENERY, 'keyboard', 'sign'),
    'coco': _SCENERY,
}

TEMPLATES: dict[str, tuple[str, ...]] = {
    # Chosen by CLIP-ES for its flat scores over the classes of one image.
    'clipes': ('a clean origami {}.',),
}


def _look_up(table: Mapping, name: str, what: str):
    if name not in table:
        raise ValueError(f'no {what} {name!r}; there are {sorted(table)}')
    return table[name]


def _several(name: str | Sequence[str]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else tuple(name)


def resolve_names(
    names: Names, aliases: Aliases | None = None
) -> tuple[tuple[str, ...], ...]:
    """Names as one tuple of synonyms for each class.

    Args:
        names: A list in :data:`BACKGROUND_WORDS` by name, or the names, each
            a string or several synonyms.
        aliases: What to say instead of some names, one word or several
            synonyms; a table in :data:`ALIASES` by name, or the table.

    Raises:
        ValueError: There is no such list or table, or a name is empty.
    """
    if isinstance(names, str):
        names = _look_up(BACKGROUND_WORDS, names, 'list of background words')
    if isinstance(aliases, str):
        aliases = _look_up(ALIASES, aliases, 'table of aliases')
    aliases = aliases or {}
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
    """Templates as a tuple of strings with ``{}`` for the name.

    Args:
        templates: One template, several, a name in :data:`TEMPLATES`, or
            one of mmseg's (``'imagenet'``, ``'vild'``).

    Raises:
        ValueError: A template has no ``{}``, or the name is unknown.
    """
    if isinstance(templates, str):
        if '{}' in templates:
            templates = (templates,)
        elif templates in TEMPLATES:
            templates = TEMPLATES[templates]
        else:
            try:
                templates = get_predefined_templates(templates)
            except ValueError:
                raise ValueError(
                    f'templates={templates!r} has no {{}} for the name and '
                    f"is none of {sorted(TEMPLATES)} or mmseg's"
                ) from None
    for template in templates:
        if '{}' not in template:
            raise ValueError(
                f'the template {template!r} has no {{}} for the name'
            )
    return tuple(templates)
