"""What the folder of a run holds, checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_weakclip.pseudo_masks.store import MaskStore

from .fields import RunError, check_kind, read_json, take, take_texts
from .scores import SplitScores, read_scores

VERSION = 1
MANIFEST = 'manifest.json'
CLASSES, INDEX, SCORES = 'data/classes.json', 'data/index.json', 'scores.json'
STATES = ('waiting', 'running', 'finished', 'failed')
SPLITS = ('train', 'val', 'unlabelled')
# Folders of masks, in the order in which they are made.
ROLES = {
    'seeds': 'seed',
    'masks': 'pseudo mask',
    'predictions': 'prediction',
}


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Its key.
        title: What readers call it.
        state: Of :data:`STATES`.
        config: File of its config, if it has one.
        command: Words of its command line.
        started: ISO time, or None before.
        seconds: How long it took.
        peak_memory_gib: Of the main memory.
        peak_gpu_gib: Of the GPU's.
        folder: Where it writes, below the run's.
    """

    name: str
    title: str
    state: str
    config: str | None
    command: tuple[str, ...]
    started: str | None
    seconds: float | None
    peak_memory_gib: float | None
    peak_gpu_gib: float | None
    folder: str | None


@dataclass(frozen=True)
class ClassInfo:
    """A class: its name, and its colour as an RGB triple (0..255)."""

    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class RunImage:
    """An image of a run.

    Attributes:
        id: Name of its files.
        source: Where it was first.
        file: The copy that the run works on.
        size: Of the copy, (height, width).
        original_size: Of the source, (height, width).
        split: Of :data:`SPLITS`.
        labels: Names of its classes.
        truth: Its true mask, if it has one.
    """

    id: str
    source: str
    file: Path
    size: tuple[int, int]
    original_size: tuple[int, int]
    split: str
    labels: tuple[str, ...]
    truth: Path | None


@dataclass(frozen=True)
class Run:
    """A run, as far as it has come.

    Attributes:
        folder: Where it lies.
        options: What it was called with.
        versions: Of Python and the packages.
        notes: What readers must know.
        stages: In order.
        classes: Id = position; empty before the data is ready.
        images: All of them; empty before the data is ready.
        scores: Role -> split -> scores; empty before, or without any truth.
    """

    folder: Path
    options: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...]
    stages: tuple[Stage, ...]
    classes: tuple[ClassInfo, ...] = ()
    images: tuple[RunImage, ...] = ()
    scores: dict[str, dict[str, SplitScores]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [info.name for info in self.classes]

    def mask_path(self, role: str, image_id: str) -> Path:
        """File of a mask; it need not be there."""
        return MaskStore(self.folder / role).mask_path(image_id)


def read_run(folder: str | Path) -> Run:
    """Read a run's folder; pieces that come later in a run may lack.

    Raises:
        RunError: It is no folder of a run, or a piece of it is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f'{folder} is no folder')
    manifest = read_json(folder / MANIFEST)
    where = str(folder / MANIFEST)
    version = take(manifest, 'version', where, 'whole number')
    if version != VERSION:
        raise RunError(
            f'{where} has version {version}; this report reads {VERSION}'
        )
    versions = take(manifest, 'versions', where, 'object')
    for name in versions:
        take(versions, name, f'{where}: versions', 'text')
    stages = tuple(
        _read_stage(record, f'{where}: stage {place}', folder)
        for place, record in enumerate(
            take(manifest, 'stages', where, 'list'), 1
        )
    )
    classes, images, scores = (), (), {}
    # Both or neither: a run may have ended before its data was ready.
    if (folder / CLASSES).exists() or (folder / INDEX).exists():
        classes = _read_classes(folder)
        images = _read_images(folder, {info.name for info in classes})
    if (folder / SCORES).exists():
        scores = read_scores(
            folder / SCORES,
            [info.name for info in classes],
            roles=list(ROLES),
            splits=list(SPLITS),
        )
    return Run(
        folder=folder,
        options=take(manifest, 'options', where, 'object'),
        versions=versions,
        notes=take_texts(manifest, 'notes', where),
        stages=stages,
        classes=classes,
        images=images,
        scores=scores,
    )


def _read_stage(record: Any, where: str, folder: Path) -> Stage:
    name = take(record, 'name', where, 'text')
    where = f'{where} ({name})'
    state = take(record, 'state', where, 'text')
    if state not in STATES:
        raise RunError(f'{where}: state {state!r} is none of {STATES}')
    stage = Stage(
        name=name,
        title=take(record, 'title', where, 'text'),
        state=state,
        config=take(record, 'config', where, 'text', 'null'),
        command=take_texts(record, 'command', where),
        started=take(record, 'started', where, 'text', 'null'),
        folder=take(record, 'folder', where, 'text', 'null'),
        **{
            key: take(record, key, where, 'number', 'null')
            for key in ('seconds', 'peak_memory_gib', 'peak_gpu_gib')
        },
    )
    if state == 'finished' and stage.folder is not None:
        made = folder / stage.folder
        if not made.is_dir():
            raise RunError(f'{where} is finished, but {made} is not there')
    return stage


def _read_classes(folder: Path) -> tuple[ClassInfo, ...]:
    path = folder / CLASSES
    classes = []
    for place, record in enumerate(check_kind(read_json(path), path, 'list')):
        where = f'{path}: class {place}'
        color = take(record, 'color', where, 'list')
        for value in color:
            check_kind(value, f"{where}: 'color'", 'whole number')
        if len(color) != 3 or not all(0 <= value <= 255 for value in color):
            raise RunError(f'{where}: color {color} is no RGB triple (0..255)')
        name = take(record, 'name', where, 'text')
        classes.append(ClassInfo(name, tuple(color)))
    names = [info.name for info in classes]
    if not names or len(set(names)) < len(names):
        raise RunError(f'{path} must name classes, each once; it has {names}')
    return tuple(classes)


def _read_images(folder: Path, names: set[str]) -> tuple[RunImage, ...]:
    path = folder / INDEX
    data = path.parent
    images: dict[str, RunImage] = {}
    for place, record in enumerate(check_kind(read_json(path), path, 'list')):
        image_id = take(record, 'id', f'{path}: image {place}', 'text')
        where = f'{path}: image {image_id!r}'
        split = take(record, 'split', where, 'text')
        if split not in SPLITS:
            raise RunError(f'{where}: split {split!r} is none of {SPLITS}')
        labels = take_texts(record, 'labels', where)
        if unknown := [label for label in labels if label not in names]:
            raise RunError(f'{where}: {CLASSES} has no {unknown}')
        if image_id in images:
            raise RunError(f'{where} is listed twice')
        truth = take(record, 'truth', where, 'text', 'null')
        image = RunImage(
            id=image_id,
            source=take(record, 'source', where, 'text'),
            file=data / take(record, 'file', where, 'text'),
            size=_size(record, '', where),
            original_size=_size(record, 'original_', where),
            split=split,
            labels=labels,
            truth=None if truth is None else data / truth,
        )
        for file in (image.file, image.truth):
            if file is not None and not file.is_file():
                raise RunError(f'{where}: {file} is not there')
        images[image_id] = image
    if not images:
        raise RunError(f'{path} lists no images')
    return tuple(images.values())


def _size(record: Any, prefix: str, where: str) -> tuple[int, int]:
    size = tuple(
        take(record, f'{prefix}{side}', where, 'whole number')
        for side in ('height', 'width')
    )
    if min(size) < 1:
        raise RunError(f'{where}: {prefix}height and width are {size}')
    return size
