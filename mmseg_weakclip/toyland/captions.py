"""Tags, prompts and captions of scenes."""

from typing import NamedTuple

from numpy.random import Generator

from .objects import CLASSES, PART_WORDS
from .scenes import Scene
from .textures import BACKGROUNDS

# All tags that a scene may have.
TAGS: tuple[str, ...] = CLASSES + BACKGROUNDS

TEMPLATES: tuple[str, ...] = (
    '{}',
    '{}.',
    'a {}',
    'the {}',
    'a photo of a {}',
    'a photo of a {}.',
    'a photo of {}.',
    'a picture of a {}',
    'an image with a {}.',
    'there is a {}',
    'a clean origami {}.',
)


class Caption(NamedTuple):
    """Caption of a scene.

    Attributes:
        text: Text of the caption.
        tags: Ids in :data:`TAGS` of what the text mentions, sorted.
    """

    text: str
    tags: tuple[int, ...]


def scene_tags(scene: Scene) -> tuple[int, ...]:
    """Return the ids in :data:`TAGS` of the objects and the background."""
    return (*scene.labels, len(CLASSES) + scene.background)


def _pick(rng: Generator, items: tuple) -> str:
    return items[int(rng.integers(len(items)))]


def _noun(rng: Generator, name: str) -> str:
    """Name an object, or its name and parts, or its parts alone."""
    parts = PART_WORDS[name]
    form = rng.random()
    if form < 0.5:
        return f'a {name}'
    if form < 0.85:
        return f'a {name} with {_pick(rng, parts)}'
    first, second = rng.choice(len(parts), 2, replace=False)
    return f'something with {parts[first]} and {parts[second]}'


def write_caption(tags: tuple[int, ...], rng: Generator) -> Caption:
    """Describe some of the content of a scene.

    Args:
        tags: Ids in :data:`TAGS` of all objects and the background.
        rng: Generator that chooses what to mention, and how.
    """
    count = int(rng.integers(1, len(tags) + 1))
    said = tuple(sorted(int(t) for t in rng.permutation(tags)[:count]))
    names = [TAGS[tag] for tag in said]
    if rng.random() < 0.2:
        return Caption(', '.join(names), said)
    objects = [_noun(rng, name) for name in names if name in CLASSES]
    places = [name for name in names if name in BACKGROUNDS]
    text = ' and '.join(objects)
    if places:
        place = f'the {places[0]}'
        link = _pick(rng, ('on', 'in front of', 'and'))
        text = f'{text} {link} {place}' if objects else place
    opening = _pick(
        rng,
        (
            '',
            '',
            'a photo of ',
            'a picture of ',
            'there is ',
            'an image with ',
        ),
    )
    return Caption(f'{opening}{text}{_pick(rng, ("", "."))}', said)
