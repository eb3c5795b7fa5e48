"""What may stand behind a class: fixed lists of texts, and denied words.

The published lists are facts about CLIMS (CVPR 2022), word for word. What
must never be called the background of a class stands in
``denied_words.json``: its synonyms, its parts, and what it is a kind of.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .words import compact, is_kind_of

Backgrounds = Sequence[str] | Mapping[str, Sequence[str]]

_COCO_PUBLISHED = (
    'street sign', 'mountain', 'video game', 'men', 'track', 'bus stop',
    'cabinet', 'tray', 'plate', 'shirt', 'city street', 'runway', 'tower',
    'ramp', 'grass', 'pillow', 'urinal', 'lake', 'brick', 'fence', 'shower',
    'airport', 'animal', 'shower curtain', 'road', 'mirror', 'jacket',
    'church', 'snow', 'fruit', 'hay', 'floor', 'field', 'street', 'mouth',
    'steam engine', 'cheese', 'river', 'tree branch', 'suit', 'child', 'soup',
    'desk', 'tub', 'tennis court', 'teeth', 'bridge', 'sky', 'officer',
    'sidewalk', 'dock', 'tree', 'court', 'rock', 'board', 'branch', 'pan',
    'box', 'body', 'salad', 'dirt', 'leaf', 'hand', 'highway', 'vegetable',
    'computer monitor', 'door', 'meat', 'pair', 'beach', 'harbor', 'ocean',
    'baseball player', 'girl', 'market', 'window', 'blanket', 'boy', 'woman',
    'bat', 'baby', 'flower', 'wall', 'bath tub', 'tarmac', 'tennis ball',
    'roll', 'park',
)  # fmt: skip

# Texts for every class, or for some classes by name.
BACKGROUND_LISTS: dict[str, Backgrounds] = {
    # The public code of CLIMS, as it is now.
    'voc': (
        'tree', 'river', 'sea', 'lake', 'water', 'railway', 'railroad',
        'track', 'stone', 'rocks',
    ),
    # The code that came with the paper.
    'voc_camera_ready': {
        'boat': ('river', 'water', 'lake', 'sea', 'building'),
        'train': ('railroad', 'railway', 'branches', 'tree'),
    },
    # The 88 of the public code.
    'coco_published': _COCO_PUBLISHED,
    # Those of the 88 that are denied for no class of COCO, less 'pair',
    # which is no thing.
    'coco': (
        'mountain', 'video game', 'track', 'bus stop', 'cabinet', 'tray',
        'plate', 'city street', 'runway', 'tower', 'ramp', 'grass', 'lake',
        'brick', 'fence', 'shower', 'airport', 'shower curtain', 'road',
        'church', 'snow', 'hay', 'floor', 'field', 'street', 'river',
        'tree branch', 'tub', 'tennis court', 'bridge', 'sky', 'sidewalk',
        'dock', 'tree', 'court', 'rock', 'branch', 'pan', 'box', 'dirt',
        'highway', 'beach', 'harbor', 'ocean', 'market', 'wall', 'bath tub',
        'tarmac', 'park',
    ),
    'toyland': ('water', 'road', 'grass', 'sky', 'sand', 'brick'),
}  # fmt: skip

# Taken as they are: what they deny themselves belongs to the publication.
PUBLISHED = ('voc', 'voc_camera_ready', 'coco_published')


@functools.cache
def _denied_table() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Other spellings of class names, and denied words, by compact names."""
    path = Path(__file__).with_name('denied_words.json')
    table = json.loads(path.read_text(encoding='utf-8'))
    return tuple(
        {compact(name): value for name, value in table[key].items()}
        for key in ('same_as', 'denied')
    )


def spellings(class_name: str) -> tuple[str, ...]:
    """The name of a class, and that of the same class of another data set."""
    same_as, _ = _denied_table()
    other = same_as.get(compact(class_name), class_name)
    return tuple(dict.fromkeys((class_name, other)))


@functools.lru_cache(maxsize=1024)
def denied_words(class_name: str) -> tuple[str, ...]:
    """The name of a class, and what must not be called its background.

    Parts, synonyms, and what the class is a kind of, for the classes of
    VOC, COCO and toyland. Of any other class only its own name is known.
    """
    _, denied = _denied_table()
    names = spellings(class_name)
    words = (*names, *denied.get(compact(names[-1]), ()))
    return tuple(dict.fromkeys(words))


def denied_by(text: str, class_name: str) -> str | None:
    """The denied word of a class that a text is, or is a kind of.

    Returns:
        The word; None if the text may be background of the class.
    """
    for word in denied_words(class_name):
        if is_kind_of(text, word):
            return word
    return None


def resolve_backgrounds(
    source: str | Backgrounds, classes: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Background texts of each class.

    A flat list serves every class, without the texts denied for it
    (:func:`denied_by`); a mapping serves the classes that it names. The
    lists in :data:`PUBLISHED` are taken word for word.

    Args:
        source: Name of a list in :data:`BACKGROUND_LISTS`, texts, or a
            mapping from class names to texts.
        classes: K names of foreground classes.

    Returns:
        K tuples, without repeated texts.

    Raises:
        ValueError: There is no list of that name; a list has no text, or an
            empty one; the mapping names a class that is not there; or all
            texts are denied for a class.
    """
    published = isinstance(source, str) and source in PUBLISHED
    what = 'the list of background texts'
    if isinstance(source, str):
        if source not in BACKGROUND_LISTS:
            raise ValueError(
                f'there is no list of background texts {source!r}; there '
                f'are {sorted(BACKGROUND_LISTS)}, and a cache is the path '
                'of a JSON file'
            )
        what = f'{what} {source!r}'
        source = BACKGROUND_LISTS[source]
    if isinstance(source, Mapping):
        return _resolve_mapping(source, classes, what, published)
    texts = _check_texts(source, what)
    result = []
    for name in classes:
        kept = texts
        if not published:
            kept = tuple(t for t in texts if denied_by(t, name) is None)
        if not kept:
            raise ValueError(
                f'{what} has nothing for the class {name!r}: each of '
                f'{list(texts)} is denied, being the class, a part of it or '
                'what it is a kind of'
            )
        result.append(kept)
    return tuple(result)


def _resolve_mapping(
    source: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    what: str,
    published: bool,
) -> tuple[tuple[str, ...], ...]:
    """A mapping is someone's word for each class: only its name is denied."""
    unknown = [name for name in source if name not in classes]
    # A published list may serve a data set with some of its classes.
    if unknown and not published:
        raise ValueError(
            f'{what} is for the class {unknown[0]!r}, which is none of '
            f'{list(classes)}'
        )
    if not source:
        raise ValueError(f'{what} is empty')
    result = dict.fromkeys(classes, ())
    for name in classes:
        if name in source:
            result[name] = _check_texts(source[name], f'{what} for {name!r}')
        for text in result[name]:
            if compact(text) == compact(name):
                raise ValueError(f'{what} for {name!r} has the class itself')
    return tuple(result.values())


def _check_texts(texts: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(texts, str):
        raise ValueError(f'{what} must be a list of texts, not {texts!r}')
    if not texts:
        raise ValueError(f'{what} is empty')
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'{what} has a text that is none: {text!r}')
    return tuple(dict.fromkeys(text.strip() for text in texts))
