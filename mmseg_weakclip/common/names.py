"""Class names: known lists, spellings, and search for a name."""

import difflib
import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path

BACKGROUND = 'background'

# Names that data sets and annotation tools use for the same class.
# Case, blanks, '-', '_' and '/' never matter and need no entry.
SPELLINGS: tuple[tuple[str, ...], ...] = (
    ('aeroplane', 'airplane'),
    ('motorbike', 'motorcycle'),
    ('pottedplant', 'house plant'),
    ('diningtable', 'dinner table'),
    ('sofa', 'couch'),
    ('tvmonitor', 'tv', 'television'),
    ('bicycle', 'pushbike'),
    ('donut', 'doughnut'),
    ('hair drier', 'hair dryer'),
    ('cell phone', 'mobile phone', 'cellular phone'),
    ('remote', 'remote control'),
    ('refrigerator', 'fridge'),
    ('eye glasses', 'glasses'),
)

VOC_NAMES: tuple[str, ...] = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
    'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person',
    'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
)  # fmt: skip

# Index i is COCO's category id i + 1.
COCO91_NAMES: tuple[str, ...] = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train',
    'truck', 'boat', 'traffic light', 'fire hydrant', 'street sign',
    'stop sign', 'parking meter', 'bench', 'bird', 'cat', 'dog', 'horse',
    'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'hat', 'backpack',
    'umbrella', 'shoe', 'eye glasses', 'handbag', 'tie', 'suitcase',
    'frisbee', 'skis', 'snowboard', 'sports ball', 'kite', 'baseball bat',
    'baseball glove', 'skateboard', 'surfboard', 'tennis racket', 'bottle',
    'plate', 'wine glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana',
    'apple', 'sandwich', 'orange', 'broccoli', 'carrot', 'hot dog', 'pizza',
    'donut', 'cake', 'chair', 'couch', 'potted plant', 'bed', 'mirror',
    'dining table', 'window', 'desk', 'toilet', 'door', 'tv', 'laptop',
    'mouse', 'remote', 'keyboard', 'cell phone', 'microwave', 'oven',
    'toaster', 'sink', 'refrigerator', 'blender', 'book', 'clock', 'vase',
    'scissors', 'teddy bear', 'hair drier', 'toothbrush',
)  # fmt: skip

# Named in COCO's category list, but no object of 2014 or 2017 carries them.
NEVER_ANNOTATED: tuple[str, ...] = (
    'street sign', 'hat', 'shoe', 'eye glasses', 'plate', 'mirror', 'window',
    'desk', 'door', 'blender',
)  # fmt: skip

COCO_NAMES: tuple[str, ...] = tuple(
    name for name in COCO91_NAMES if name not in NEVER_ANNOTATED
)

VOCABULARIES: dict[str, tuple[str, ...]] = {
    'voc': VOC_NAMES,
    'coco': COCO_NAMES,
    'coco91': COCO91_NAMES,
}


def register_vocabulary(name: str, classes: Sequence[str]) -> None:
    """Register a list of foreground class names under a name.

    Args:
        name: Name of the list in :func:`read_vocabulary`.
        classes: Class names, without the background.
    """
    VOCABULARIES[name] = tuple(classes)


def split_background(classes: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """Return the foreground names of a class list, and their first id.

    Args:
        classes: All class names, ``'background'`` first or not at all.

    Raises:
        ValueError: ``'background'`` has another id than 0.
    """
    offset = int(len(classes) > 0 and classes[0] == BACKGROUND)
    foreground = tuple(classes[offset:])
    if BACKGROUND in foreground:
        raise ValueError(
            f"'{BACKGROUND}' is class {foreground.index(BACKGROUND) + offset} "
            f'of {list(classes)}; it must be class 0 or be left out.'
        )
    return foreground, offset


def read_vocabulary(spec: str | Sequence[str]) -> tuple[str, ...]:
    """Read the foreground class names that a user asks for.

    Args:
        spec: Name in :data:`VOCABULARIES`, file (JSON list or a name per
            line), names separated by commas, or a sequence of names. A
            leading ``'background'`` is dropped.

    Raises:
        ValueError: The list is empty, or ``'background'`` is not in front.
    """
    if not isinstance(spec, str):
        names = list(spec)
    elif spec in VOCABULARIES:
        names = list(VOCABULARIES[spec])
    elif Path(spec).is_file():
        text = Path(spec).read_text(encoding='utf-8-sig')
        names = (
            json.loads(text)
            if Path(spec).suffix == '.json'
            else text.splitlines()
        )
    elif Path(spec).suffix in ('.txt', '.json', '.names'):
        raise ValueError(
            f'The list of classes {spec} does not exist. Give a file, one of '
            f'{sorted(VOCABULARIES)}, or names separated by commas.'
        )
    else:
        names = spec.split(',')
    if not isinstance(names, list) or not all(
        isinstance(name, str) for name in names
    ):
        raise ValueError(f'{spec!r} is not a list of class names.')
    names = [name.strip() for name in names if name.strip()]
    foreground, _ = split_background(names)
    if not foreground:
        raise ValueError(f'{spec!r} names no class.')
    return foreground


@functools.lru_cache(maxsize=4096)
def name_key(name: str) -> str:
    """Return a key that all spellings of a name share."""
    return re.sub(r'[\s_/-]+', '', name.casefold()) or name


class NameIndex:
    """Index of class ids by any spelling of the class name.

    A name of the list itself always wins over an alias, and an alias of two
    names of the list means neither.

    Args:
        classes: Class names in the order of their ids.

    Raises:
        ValueError: Two names differ only in case or separators.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._ids: dict[str, int] = {}
        for class_id, name in enumerate(self.classes):
            first = self._ids.setdefault(name_key(name), class_id)
            if first != class_id:
                raise ValueError(
                    f'Classes {first} ({self.classes[first]!r}) and '
                    f'{class_id} ({name!r}) have the same name.'
                )
        for group in SPELLINGS:
            keys = [name_key(alias) for alias in group]
            known = {self._ids[key] for key in keys if key in self._ids}
            if len(known) == 1:
                self._ids.update(dict.fromkeys(keys, known.pop()))

    def find(self, name: str) -> int | None:
        """Return the id of the class that ``name`` spells, or None."""
        return self._ids.get(name_key(name))

    def nearest(self, name: str) -> list[str]:
        """Return up to three names of the list that look like ``name``."""
        keys = difflib.get_close_matches(name_key(name), self._ids, n=3)
        return list(dict.fromkeys(self.classes[self._ids[k]] for k in keys))
