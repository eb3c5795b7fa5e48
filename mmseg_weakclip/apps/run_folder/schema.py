"""What the folder of a run holds: names of its files, and their records.

``weakclip run`` writes it, the report and others read it. Changes of these
records need another :data:`VERSION`.
"""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

import numpy as np

VERSION = 1
MANIFEST = 'manifest.json'
DATA = 'data'
INDEX, CLASSES = 'data/index.json', 'data/classes.json'
LABELS = 'data/image_labels.json'
SCORES = 'scores.json'
STATES = ('waiting', 'running', 'finished', 'failed')
SPLITS = ('train', 'val', 'unlabelled')
# Folders of masks, in the order in which they are made, and what they hold.
ROLES = {
    'seeds': 'seed',
    'masks': 'pseudo mask',
    'predictions': 'prediction',
}

Record = TypeVar('Record')


class RunError(ValueError):
    """A piece of a run's folder is missing or damaged."""


@dataclass
class StageRecord:
    """What is known of a stage.

    Attributes:
        name: Its key; also of its config and its log.
        title: What readers call it.
        folder: Where it writes, below the run's; None for files there.
        config: File of its config below the run's folder, if it has one.
        state: One of :data:`STATES`.
        command: Words of its command line.
        inputs: Digest of each thing that it read.
        output: Digest of what it wrote.
        started: ISO time of its last start.
        seconds: Duration of all its starts together.
        peak_memory_gib: Memory of its largest process.
        peak_gpu_gib: GPU memory, as its log says, if it used a GPU.
        written_config: Digest of the config as the run wrote it.
    """

    name: str
    title: str
    folder: str | None = None
    config: str | None = None
    state: str = 'waiting'
    command: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    output: str | None = None
    started: str | None = None
    seconds: float | None = None
    peak_memory_gib: float | None = None
    peak_gpu_gib: float | None = None
    written_config: str | None = None


@dataclass(frozen=True)
class RunClass:
    """A class: its name in labels and in reports, and its RGB (0..255)."""

    name: str
    display: str = ''
    color: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class RunImage:
    """One image of a run, as :data:`INDEX` has it.

    Attributes:
        id: Stem of its masks.
        source: The user's file, below the folder of images.
        file: What the stages read, below ``data/``; '' before it is there.
        size: Height and width of that file, in pixels, as viewers show it.
        original_size: Height and width of the user's file.
        split: One of :data:`SPLITS`.
        labels: Names of its classes.
        truth: Its mask for scores, below ``data/``, or None.
        digest: Digest of the user's file.
    """

    id: str
    source: str
    file: str
    size: tuple[int, int]
    original_size: tuple[int, int]
    split: str
    labels: tuple[str, ...]
    truth: str | None
    digest: str = ''

    def to_json(self) -> dict[str, Any]:
        """Return the record of the image."""
        height, width = self.size
        original_height, original_width = self.original_size
        return dict(
            id=self.id,
            source=self.source,
            file=self.file,
            width=width,
            height=height,
            original_width=original_width,
            original_height=original_height,
            split=self.split,
            labels=list(self.labels),
            truth=self.truth,
            digest=self.digest,
        )

    @classmethod
    def from_json(cls, record: dict[str, Any], where: str) -> 'RunImage':
        """Return the image of a record; see :func:`from_record`."""
        sizes = {
            f'{prefix}size': tuple(
                require(record, f'{prefix}{side}', where)
                for side in ('height', 'width')
            )
            for prefix in ('', 'original_')
        }
        labels = tuple(require(record, 'labels', where))
        return from_record(cls, {**record, **sizes, 'labels': labels}, where)


@dataclass(frozen=True, eq=False)
class SplitScores:
    """Masks of a role against the truth of a split.

    Attributes:
        images: How many were scored.
        miou: Mean IoU in percent; None where no class has any pixel.
        ious: IoU of each class in percent; None where it has no pixel.
        confusion: Pixels, int64, (K, K): rows truth, columns prediction.
    """

    images: int
    miou: float | None
    ious: tuple[float | None, ...]
    confusion: np.ndarray


def require(record: Any, name: str, where: str) -> Any:
    """Return a field of a JSON object.

    Raises:
        RunError: It is no object, or lacks the field.
    """
    if not isinstance(record, dict):
        raise RunError(f'{where} is {record!r}; expected an object')
    if name not in record:
        raise RunError(f'{where} lacks {name!r}')
    return record[name]


def from_record(
    kind: type[Record], record: dict[str, Any], where: str
) -> Record:
    """Build a dataclass from a JSON object; other fields are ignored.

    Args:
        kind: The dataclass.
        record: The object.
        where: Its file and place, for messages.

    Raises:
        RunError: A field without a default is missing.
    """
    known = {}
    for item in fields(cast(Any, kind)):
        if item.name in record:
            known[item.name] = record[item.name]
    try:
        return kind(**known)
    except TypeError as error:
        missing = str(error).partition(': ')[2]
        raise RunError(f'{where} lacks {missing}') from error
