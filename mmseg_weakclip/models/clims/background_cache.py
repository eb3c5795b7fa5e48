"""Background texts of single images in a simple JSON file.

{"format": "mmseg_weakclip backgrounds 1",
 "classes": ["boat", "car"],
 "note": {"by": "whoever"},
 "images": {"2007_000032": {"boat": [["water", 1.7], ["pier", 0.4]]}}}
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_weakclip.common.files import write_atomically

FORMAT = 'mmseg_weakclip backgrounds 1'
# Text and score, in the order of the file, usually best first.
ScoredTexts = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class BackgroundCache:
    """Background texts of each class of each image.

    Attributes:
        classes: Names of the foreground classes.
        images: Texts with scores by image id and class name.
        note: Origin of the texts, in any form; may be empty.
        source: Name of the file, for messages.
    """

    classes: tuple[str, ...]
    images: Mapping[str, Mapping[str, ScoredTexts]]
    note: Mapping[str, Any] = field(default_factory=dict)
    source: str = 'the cache of background texts'

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def texts(self, image_id: str, class_name: str) -> tuple[str, ...]:
        """Return the texts of a class of an image; empty without an entry.

        Args:
            image_id: Id of the image.
            class_name: Name of the class.

        Raises:
            ValueError: The image is missing.
        """
        if image_id not in self.images:
            self.check_images([image_id])
        found = self.images[image_id].get(class_name, ())
        return tuple(text for text, _ in found)

    def all_texts(self) -> tuple[str, ...]:
        """Return every text once, in order of appearance."""
        return tuple(
            dict.fromkeys(
                text
                for entry in self.images.values()
                for found in entry.values()
                for text, _ in found
            )
        )

    def most_frequent(self, count: int) -> dict[str, list[tuple[str, int]]]:
        """Return the most frequent texts of each class, with their counts.

        Args:
            count: Largest number of texts of a class.
        """
        counters = {name: Counter() for name in self.classes}
        for entry in self.images.values():
            for name, found in entry.items():
                counters[name].update(text for text, _ in found)
        return {n: c.most_common(count) for n, c in counters.items()}

    def check_images(self, image_ids: Iterable[str]) -> None:
        """Check that all images of a data set have an entry.

        Args:
            image_ids: Ids of the images.

        Raises:
            ValueError: Images are missing; the message has their number and
                the first.
        """
        wanted = list(image_ids)
        missing = [name for name in wanted if name not in self.images]
        if missing:
            raise ValueError(
                f'{self.source} lacks {len(missing)} of {len(wanted)} images, '
                f'the first is {missing[0]!r}; make it again with '
                'tools/extract_backgrounds.py, or add them'
            )

    def check_classes(self, classes: Sequence[str]) -> None:
        """Check that all classes of the cache are known.

        Args:
            classes: Names of the known classes.

        Raises:
            ValueError: The cache has classes that are not among these.
        """
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise ValueError(
                f'{self.source} has the classes {", ".join(unknown)}, which '
                f'are none of {", ".join(classes)}; rename them in the cache '
                'or make it again with tools/extract_backgrounds.py'
            )

    def save(self, path: str | Path) -> None:
        """Write the file atomically, one image a line."""
        head = dict(format=FORMAT, classes=self.classes, note=self.note)
        lines = [
            f' {json.dumps(name)}: {json.dumps(entry, ensure_ascii=False)}'
            for name, entry in self.images.items()
        ]
        text = (
            json.dumps(head, ensure_ascii=False, indent=1)[:-2]
            + ',\n "images": {\n'
            + ',\n'.join(lines)
            + '\n }\n}\n'
        )
        write_atomically(path, text.encode())

    @classmethod
    def load(cls, path: str | Path) -> 'BackgroundCache':
        """Read a file of :meth:`save`, a person or another program.

        Args:
            path: File of the cache.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is not JSON or of another format, or a
                class, text or score is invalid; the message names the image.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'the cache of background texts {path} does not exist: '
                'make it with tools/extract_backgrounds.py'
            )
        try:
            content = json.loads(Path(path).read_text(encoding='utf-8'))
        except ValueError as error:
            raise ValueError(f'{path} is not JSON: {error}') from error
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            raise ValueError(
                f'{path} is not a cache of background texts: it has no '
                f'"format": "{FORMAT}"'
            )
        classes = _check_names(content.get('classes'), path)
        images = content.get('images')
        if not isinstance(images, dict):
            raise ValueError(f'{path}: "images" must map image ids to classes')
        note = content.get('note') or {}
        if not isinstance(note, dict):
            raise ValueError(f'{path}: "note" must be an object, not {note!r}')
        checked = {
            image_id: _check_entry(entry, classes, f'{path}: {image_id!r}')
            for image_id, entry in images.items()
        }
        return cls(classes, checked, note, str(path))


def _check_names(names: Any, path: str | Path) -> tuple[str, ...]:
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise ValueError(
            f'{path}: "classes" must be a list of class names, not {names!r}'
        )
    return tuple(names)


def _check_entry(
    entry: Any, classes: Sequence[str], where: str
) -> dict[str, ScoredTexts]:
    if not isinstance(entry, dict):
        raise ValueError(
            f'{where} must map class names to texts with scores, not {entry!r}'
        )
    result = {}
    for name, found in entry.items():
        if name not in classes:
            raise ValueError(
                f'{where} has the unknown class {name!r}; "classes" are '
                f'{", ".join(classes)}'
            )
        if not isinstance(found, list):
            raise ValueError(
                f'{where}, class {name!r}: must be a list of [text, score], '
                f'not {found!r}'
            )
        result[name] = tuple(
            _check_pair(pair, f'{where}, class {name!r}') for pair in found
        )
    return result


def _check_pair(pair: Any, where: str) -> tuple[str, float]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f'{where}: {pair!r} is not [text, score]')
    text, score = pair
    if not isinstance(text, str) or not text.strip():
        raise ValueError(
            f'{where}: the text {text!r} is empty or not a string'
        )
    if (
        isinstance(score, bool)
        or not isinstance(score, (int, float))
        or not math.isfinite(score)
    ):
        raise ValueError(
            f'{where}: the score {score!r} of {text!r} is not a number'
        )
    return text, float(score)
