"""The images of a run, as ``data/`` has them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmseg_weakclip.apps.wsss.classes import ClassList
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels

INDEX = 'index.json'
CLASSES = 'classes.json'
LABELS = 'image_labels.json'
SPLITS = ('train', 'val', 'unlabelled')


@dataclass(frozen=True)
class ImageEntry:
    """One image of a run.

    Attributes:
        id: By which masks are called.
        source: The user's file, below the folder of images.
        file: What the stages read, below ``data/``.
        width, height: Of that, in pixels, as viewers show it.
        original_width, original_height: Of the user's file.
        split: One of SPLITS.
        labels: Names of its classes.
        truth: Its mask for scores, below ``data/``, or None.
        digest: Of the content of the user's file.
    """

    id: str
    source: str
    file: str
    width: int
    height: int
    original_width: int
    original_height: int
    split: str
    labels: tuple[str, ...]
    truth: str | None
    digest: str


def read_index(folder: Path) -> list[ImageEntry]:
    """The images of ``data/``; none where there is no index yet."""
    path = folder / INDEX
    if not path.is_file():
        return []
    return [
        ImageEntry(**{**entry, 'labels': tuple(entry['labels'])})
        for entry in json.loads(path.read_text(encoding='utf-8'))
    ]


def write_index(
    folder: Path, entries: Sequence[ImageEntry], classes: ClassList
) -> None:
    """Write all that the stages and the report read of the data.

    The index comes last, so that it is there only when all else is.

    Args:
        folder: ``data/``.
        entries: All images, in order.
        classes: Their classes.
    """
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for entry in entries:
        lists[entry.split].append(Path(entry.file).name)
    lists['labelled'] = lists['train'] + lists['val']
    lists['all'] = lists['labelled'] + lists['unlabelled']
    for name, files in lists.items():
        text = ''.join(f'{file}\n' for file in files)
        write_atomically(folder / f'{name}.txt', text.encode())
    names = [info.name for info in classes.classes]
    ids = {name: index for index, name in enumerate(names)}
    labels = {
        entry.id: tuple(sorted(ids[name] for name in entry.labels))
        for entry in entries
        if entry.labels
    }
    ImageLabels(tuple(names), labels, str(folder / LABELS)).save(
        folder / LABELS
    )
    displays = [classes.names[0], *(info.display for info in classes.classes)]
    colors = [
        dict(name=name, display=display, color=color)
        for name, display, color in zip(
            classes.names, displays, classes.palette
        )
    ]
    _write_json(folder / CLASSES, colors)
    _write_json(folder / INDEX, [asdict(entry) for entry in entries])


def _write_json(path: Path, content: list[dict]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=0)
    write_atomically(path, text.encode())


def describe_data(
    entries: Sequence[ImageEntry], classes: ClassList
) -> list[str]:
    """What a user should know of the data, in a few lines."""
    splits = Counter(entry.split for entry in entries)
    shrunk = sum(e.width != e.original_width for e in entries)
    lines = [
        f'{len(entries)} images: {splits["train"]} to train on, '
        f'{splits["val"]} kept for validation, {splits["unlabelled"]} '
        'without labels (predicted on only)',
    ]
    if shrunk:
        lines.append(f'{shrunk} large images are worked on at a smaller size')
    truth = sum(entry.truth is not None for entry in entries)
    lines.append(
        f'{truth} images have masks, for scores only'
        if truth
        else 'no masks to score with'
    )
    counts = Counter(
        name for e in entries if e.split == 'train' for name in e.labels
    )
    lines.append(
        'training images of each class: '
        + ', '.join(f'{i.name} {counts[i.name]}' for i in classes.classes)
    )
    return lines
