"""Files in the folder of a run: their names, and their records.

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
# What the veto did to masks of another tool, and how they compare with those
# of a method that they were joined with.
OUTSIDE, JOINED = 'outside_masks.json', 'joined_masks.json'
STATES = ('waiting', 'running', 'finished', 'failed')
SPLITS = ('train', 'val', 'unlabelled')
# Folders of masks, in the order in which they are made -> kind of masks.
ROLES = {
    'seeds': 'seed',
    'masks': 'pseudo mask',
    'predictions': 'prediction',
}

Record = TypeVar('Record')


class RunError(ValueError):
    """An error about a file of a run's folder, missing or damaged."""


@dataclass
class StageRecord:
    """The state of a stage.

    Attributes:
        name: Key of the stage, and stem of its config and its log.
        title: Title of the stage in reports and messages.
        folder: Output folder, relative to the run's folder; None for files
            in the run's folder itself.
        config: Config file, relative to the run's folder, if it has one.
        state: State of the stage, one of :data:`STATES`.
        command: Words of the command line.
        inputs: Digest of each input, by name.
        output: Digest of the output.
        started: ISO time of the last start.
        seconds: Duration of all starts together.
        peak_memory_gib: Peak memory of the largest process, in GiB.
        peak_gpu_gib: Peak GPU memory from the log, in GiB; None on the CPU.
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
    """A class of a run.

    Attributes:
        name: Name in labels.
        display: Name in reports.
        color: RGB, 0 to 255.
        own_color: True if the user chose the colour; None if unknown.
    """

    name: str
    display: str = ''
    color: tuple[int, int, int] = (0, 0, 0)
    own_color: bool | None = None


@dataclass(frozen=True)
class RunImage:
    """One image of a run, as in the file :data:`INDEX`.

    Attributes:
        id: Stem of the image's masks.
        source: User's file, relative to the folder of images.
        file: Copy that the stages read, relative to ``data/``; '' before it
            is made.
        size: Height and width of the copy, in pixels, as viewers show it.
        original_size: Height and width of the user's file.
        split: Split of the image, one of :data:`SPLITS`.
        labels: Names of the image's classes.
        truth: True mask for scores, relative to ``data/``, or None.
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
        """Return the image as a JSON object."""
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
        """Build an image from a JSON object; ``where`` is for messages."""
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
    """Scores of a role's masks against the truth of a split.

    Attributes:
        images: Number of images that were scored.
        miou: Mean IoU in percent; None where no class has any pixel.
        ious: IoU of each class in percent; None where it has no pixel.
        confusion: Numbers of pixels, int64, (K, K): rows truth, columns
            prediction.
    """

    images: int
    miou: float | None
    ious: tuple[float | None, ...]
    confusion: np.ndarray


def require(record: Any, name: str, where: str) -> Any:
    """Return a field of a JSON object.

    Raises:
        RunError: The record is not an object, or lacks the field.
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
        kind: Dataclass to build.
        record: JSON object with its fields.
        where: File and place of the object, for messages.

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
