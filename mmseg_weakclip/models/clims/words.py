"""Comparing words: plurals, spellings, and what is a kind of what."""

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path

# Plurals that no ending gives away.
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
    """The singular of a lower-case English word, by its ending.

    Right for nouns that texts about images use; a wrong result is harmless
    where two words are compared, since both go the same way.
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
    """Words of a text in the singular, lower case, its article left out.

    Blanks, ``-``, ``_`` and ``/`` part words.
    """
    parts = [part for part in re.split(r'[\s_/-]+', text.casefold()) if part]
    if len(parts) > 1 and parts[0] in ARTICLES:
        parts = parts[1:]
    return tuple(map(singular, parts))


def compact(text: str) -> str:
    """What two texts share that differ in number, case, article or blanks."""
    return ''.join(word_parts(text))


def is_kind_of(text: str, word: str) -> bool:
    """Whether a text is a word or ends with it.

    In English the last noun says what a thing is: fishing boats are boats,
    a boat house is not.
    """
    own, wanted = word_parts(text), word_parts(word)
    return own[-len(wanted) :] == wanted or compact(text) == compact(word)


def read_background_words(
    source: str | Path | Sequence[str],
) -> tuple[str, ...]:
    """Words that may be found in images.

    Args:
        source: ``'open'``, a few hundred words for photographs,
            ``'toyland'``, a file with a word a line, or the words.

    Raises:
        ValueError: There is no such list or file.
    """
    if not isinstance(source, (str, Path)):
        return tuple(dict.fromkeys(source))
    path = Path(__file__).with_name('background_words.json')
    shipped = json.loads(path.read_text(encoding='utf-8'))
    if str(source) in shipped:
        return tuple(shipped[str(source)])
    if not Path(source).is_file():
        raise ValueError(
            f'there is no vocabulary {str(source)!r}: give one of '
            f'{sorted(shipped)}, a file with a word a line, or the words'
        )
    lines = Path(source).read_text(encoding='utf-8').splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
