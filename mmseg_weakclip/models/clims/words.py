"""Compare words by number, spelling and kind; read vocabularies.

Used for background texts: a text that names a class, or a kind of it, is not
its background.
"""

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path

# Plurals without a regular ending.
IRREGULAR: dict[str, str] = {
    'children': 'child',
    'feet': 'foot',
    'geese': 'goose',
    'hooves': 'hoof',
    'knives': 'knife',
    'leaves': 'leaf',
    'men': 'man',
    'mice': 'mouse',
    'oxen': 'ox',
    'people': 'person',
    'shelves': 'shelf',
    'teeth': 'tooth',
    'women': 'woman',
}
ARTICLES = ('a', 'an', 'the')


def singular(word: str) -> str:
    """Return the singular of a lower-case English word, by its ending.

    It is right for the usual nouns of image descriptions. A wrong result is
    harmless in a comparison, since it is the same for both words.
    """
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word.endswith(('ss', 'us', 'is')):
        return word
    if word.endswith('ies') and len(word) > 4:
        return f'{word[:-3]}y'
    if word.endswith(('ches', 'shes', 'xes', 'sses')):
        return word[:-2]
    return word.removesuffix('s')


@functools.lru_cache(maxsize=16384)
def word_parts(text: str) -> tuple[str, ...]:
    """Return the words of a text in the singular and in lower case.

    Without the article; words are separated by blanks, ``-``, ``_`` or
    ``/``.
    """
    parts = [part for part in re.split(r'[\s_/-]+', text.casefold()) if part]
    if len(parts) > 1 and parts[0] in ARTICLES:
        parts = parts[1:]
    return tuple(map(singular, parts))


def compact(text: str) -> str:
    """Return a text without number, case, article and blanks."""
    return ''.join(word_parts(text))


def is_kind_of(text: str, word: str) -> bool:
    """Return whether a text is a word or ends with it.

    In English the last noun is the kind of a thing: fishing boats are boats,
    a boat house is not.

    Args:
        text: Text of one or more words.
        word: Word or words that it is compared with.
    """
    own, wanted = word_parts(text), word_parts(word)
    return own[-len(wanted) :] == wanted or compact(text) == compact(word)


def read_background_words(
    source: str | Path | Sequence[str],
) -> tuple[str, ...]:
    """Read a vocabulary of things that images may show.

    Args:
        source: ``'open'``, a few hundred words for photographs,
            ``'toyland'``, a file with one word a line, or the words.

    Raises:
        ValueError: The list or file does not exist.
    """
    if not isinstance(source, (str, Path)):
        return tuple(dict.fromkeys(source))
    path = Path(__file__).with_name('background_words.json')
    shipped = json.loads(path.read_text(encoding='utf-8'))
    if str(source) in shipped:
        return tuple(shipped[str(source)])
    if not Path(source).is_file():
        raise ValueError(
            f'unknown vocabulary {str(source)!r}: give one of '
            f'{sorted(shipped)}, a file with one word per line, or the words'
        )
    lines = Path(source).read_text(encoding='utf-8').splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
