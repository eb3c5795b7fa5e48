"""Texts for the background of a class: shipped lists, and denied words.

The lists stand in ``background_lists.json``: texts for every class, or for
some classes by name.

``voc``
    The public code of CLIMS (CVPR 2022), word for word.
``voc_camera_ready``
    The code that came with the paper.
``coco_published``
    The 88 texts of the public code.
``coco``
    Those of the 88 that are denied for no class of COCO, without 'pair',
    which names no thing.
``toyland``
    Our own.

Words that must not be used as background of a class stand in
``denied_words.json``: its synonyms, its parts, and its hypernyms.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .words import compact, is_kind_of

Backgrounds = Sequence[str] | Mapping[str, Sequence[str]]

# Taken word for word: denied words are not removed from published lists.
PUBLISHED = ('voc', 'voc_camera_ready', 'coco_published')


@functools.cache
def background_lists() -> dict[str, list[str] | dict[str, list[str]]]:
    """Load the shipped lists of background texts, by name."""
    path = Path(__file__).with_name('background_lists.json')
    return json.loads(path.read_text(encoding='utf-8'))


@functools.cache
def _denied_table() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Load other spellings of classes, and denied words, by compact name."""
    path = Path(__file__).with_name('denied_words.json')
    table = json.loads(path.read_text(encoding='utf-8'))
    return tuple(
        {compact(name): value for name, value in table[key].items()}
        for key in ('same_as', 'denied')
    )


def spellings(class_name: str) -> tuple[str, ...]:
    """Return the name of a class, and its name in another data set."""
    same_as, _ = _denied_table()
    other = same_as.get(compact(class_name), class_name)
    return tuple(dict.fromkeys((class_name, other)))


@functools.lru_cache(maxsize=1024)
def denied_words(class_name: str) -> tuple[str, ...]:
    """Return the name of a class, and words that are not its background.

    For the classes of VOC, COCO and toyland: synonyms, parts and hypernyms.
    For any other class: its own name only.
    """
    _, denied = _denied_table()
    names = spellings(class_name)
    words = (*names, *denied.get(compact(names[-1]), ()))
    return tuple(dict.fromkeys(words))


def denied_by(text: str, class_name: str) -> str | None:
    """Return the denied word of a class that a text names, or None.

    A text names a word if it is the word or a kind of it.

    Args:
        text: Candidate for a background text.
        class_name: Name of the class.
    """
    for word in denied_words(class_name):
        if is_kind_of(text, word):
            return word
    return None


def resolve_backgrounds(
    source: str | Backgrounds, classes: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Return the background texts of each class.

    A flat list serves every class, without the texts denied for it
    (:func:`denied_by`); a mapping serves the classes that it names. The
    lists in :data:`PUBLISHED` are taken word for word.

    Args:
        source: Name of a shipped list (:func:`background_lists`), texts, or
            a mapping from class names to texts.
        classes: Names of the K foreground classes.

    Returns:
        K tuples, without repeated texts.

    Raises:
        ValueError: The name of the list is unknown; a list is empty or has an
            empty text; the mapping names an unknown class; or all texts are
            denied for a class.
    """
    published = isinstance(source, str) and source in PUBLISHED
    what = 'the list of background texts'
    if isinstance(source, str):
        lists = background_lists()
        if source not in lists:
            raise ValueError(
                f'unknown list of background texts {source!r}; known: '
                f'{sorted(lists)}, or the path of a JSON file for a '
                'cache'
            )
        what = f'{what} {source!r}'
        source = lists[source]
    if isinstance(source, Mapping):
        return _resolve_mapping(source, classes, what, published=published)
    texts = _check_texts(source, what)
    result = []
    for name in classes:
        kept = texts
        if not published:
            kept = tuple(t for t in texts if denied_by(t, name) is None)
        if not kept:
            raise ValueError(
                f'{what} has no text for the class {name!r}: each of '
                f'{list(texts)} is denied, as the class, a part of it or a '
                'more general word'
            )
        result.append(kept)
    return tuple(result)


def _resolve_mapping(
    source: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    what: str,
    *,
    published: bool,
) -> tuple[tuple[str, ...], ...]:
    """Check texts given class by class: only the class's name is denied."""
    unknown = [name for name in source if name not in classes]
    # A published list may serve a data set with some of its classes.
    if unknown and not published:
        raise ValueError(
            f'{what} has the unknown class {unknown[0]!r}; the classes are '
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
            raise ValueError(f'{what} has an invalid text: {text!r}')
    return tuple(dict.fromkeys(text.strip() for text in texts))
