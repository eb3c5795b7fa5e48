"""Reading and writing of a run's folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_weakclip.common.files import write_atomically

from .schema import (
    CLASSES,
    DATA,
    INDEX,
    JOINED,
    MANIFEST,
    OUTSIDE,
    ROLES,
    SCORES,
    SPLITS,
    STATES,
    VERSION,
    RunClass,
    RunError,
    RunImage,
    SplitScores,
    StageRecord,
    from_record,
    require,
)


@dataclass(frozen=True)
class RunFolder:
    """A run, finished or not, as read from its folder.

    Attributes:
        folder: Folder of the run.
        options: Options of the command.
        versions: Versions of Python and the packages.
        notes: Warnings for readers.
        stages: All stages, in order.
        classes: All classes, id = position; empty before the data is ready.
        images: All images; empty before the data is ready.
        scores: Role -> split -> scores; empty before scoring or without truth.
        outside: What the veto did to masks of another tool; None without.
        joined: How these compare with a method's; None if not joined.
    """

    folder: Path
    options: dict[str, Any]
    versions: dict[str, str]
    notes: tuple[str, ...]
    stages: tuple[StageRecord, ...]
    classes: tuple[RunClass, ...] = ()
    images: tuple[RunImage, ...] = ()
    scores: dict[str, dict[str, SplitScores]] = field(default_factory=dict)
    outside: dict[str, Any] | None = None
    joined: dict[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the classes."""
        return [info.name for info in self.classes]

    @property
    def roles(self) -> tuple[str, ...]:
        """Kinds of masks that this run makes.

        A run that was resumed with other options may have folders of more,
        which are not its results.
        """
        made = {stage.folder for stage in self.stages}
        return tuple(role for role in ROLES if role in made)

    def has_stage(self, name: str) -> bool:
        """Return whether the run has a stage, finished or not."""
        return any(stage.name == name for stage in self.stages)

    def mask_path(self, role: str, image_id: str) -> Path:
        """Return the path of a mask, which may be missing."""
        return self.folder / role / 'masks' / f'{image_id}.png'

    def image_path(self, image: RunImage) -> Path:
        """Return the copy of an image that the stages read."""
        return self.folder / DATA / image.file

    def truth_path(self, image: RunImage) -> Path | None:
        """Return the user's mask of an image, or None."""
        return self.folder / DATA / image.truth if image.truth else None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        RunError: The file cannot be read, or is not valid JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f'{path} cannot be read: {error.strerror}') from error
    except ValueError as error:
        raise RunError(f'{path} is not valid JSON: {error}') from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole."""
    write_atomically(path, json.dumps(content, ensure_ascii=False).encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run, its stages as :class:`StageRecord`.

    Raises:
        RunError: The manifest is missing, damaged or of another version.
    """
    path = folder / MANIFEST
    content = read_json(path)
    version = require(content, 'version', str(path))
    if version != VERSION:
        raise RunError(
            f'{path} has version {version}; this package reads {VERSION}'
        )
    for name in ('options', 'notes', 'versions'):
        require(content, name, str(path))
    stages = []
    for place, record in enumerate(require(content, 'stages', str(path)), 1):
        where = f'{path}: stage {place}'
        require(record, 'name', where)
        stage = from_record(StageRecord, record, f'{where} ({record["name"]})')
        if stage.state not in STATES:
            raise RunError(
                f'{where} ({stage.name}): state {stage.state!r} is not one of '
                f'{STATES}'
            )
        stages.append(stage)
    return {**content, 'stages': stages}


def write_manifest(
    folder: Path,
    options: dict[str, Any],
    notes: Sequence[str],
    versions: dict[str, str],
    stages: Sequence[StageRecord],
) -> None:
    """Write the manifest of a run."""
    content = dict(
        version=VERSION,
        options=options,
        notes=list(notes),
        versions=versions,
        stages=[asdict(record) for record in stages],
    )
    text = json.dumps(content, ensure_ascii=False, indent=1)
    write_atomically(folder / MANIFEST, text.encode())


def load_images(folder: Path) -> list[RunImage]:
    """Return the images of a run; an empty list before the index exists.

    Raises:
        RunError: The index is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        return []
    images = []
    for place, record in enumerate(read_json(path)):
        image_id = require(record, 'id', f'{path}: image {place}')
        where = f'{path}: image {image_id!r}'
        image = RunImage.from_json(record, where)
        if image.split not in SPLITS:
            raise RunError(
                f'{where}: split {image.split!r} is not one of {SPLITS}'
            )
        images.append(image)
    return images


def write_images(folder: Path, images: Sequence[RunImage]) -> None:
    """Write the index of a run, which must be the last file of its data."""
    _write_list(folder / INDEX, [image.to_json() for image in images])


def load_classes(folder: Path) -> list[RunClass]:
    """Return the classes of a run.

    Raises:
        RunError: The file is missing or damaged.
    """
    path = folder / CLASSES
    classes = []
    for place, record in enumerate(read_json(path)):
        where = f'{path}: class {place}'
        color = tuple(require(record, 'color', where))
        classes.append(
            from_record(RunClass, {**record, 'color': color}, where)
        )
    return classes


def write_classes(folder: Path, classes: Sequence[RunClass]) -> None:
    """Write the classes of a run."""
    _write_list(
        folder / CLASSES,
        [
            {key: v for key, v in asdict(info).items() if v is not None}
            for info in classes
        ],
    )


def _write_list(path: Path, content: list[dict[str, Any]]) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=0)
    write_atomically(path, text.encode())


def read_scores(
    folder: Path, names: Sequence[str]
) -> dict[str, dict[str, SplitScores]]:
    """Return scores by role and split, in the order of both.

    Args:
        folder: Folder of the run.
        names: Names of all K classes.

    Raises:
        RunError: The file is damaged, or made for other classes.
    """
    path = folder / SCORES
    if not path.is_file():
        return {}
    found = require(read_json(path), 'roles', str(path))
    return {
        role: {
            split: _read_split(
                found[role][split], names, f'{path}: {role}, {split}'
            )
            for split in SPLITS
            if split in found[role]
        }
        for role in ROLES
        if found.get(role)
    }


def _read_split(record: Any, names: Sequence[str], where: str) -> SplitScores:
    by_name = require(record, 'IoU', where)
    if set(by_name) != set(names):
        differing = sorted(set(by_name) ^ set(names))
        raise RunError(
            f'{where}: IoU and classes.json differ in the classes {differing}'
        )
    try:
        confusion = np.array(require(record, 'confusion', where), np.int64)
    except (TypeError, ValueError) as error:
        raise RunError(
            f'{where}: confusion is not a table: {error}'
        ) from error
    if confusion.shape != (len(names), len(names)):
        raise RunError(
            f'{where}: confusion must be {len(names)} x {len(names)}'
        )
    return SplitScores(
        images=require(record, 'images', where),
        miou=require(record, 'mIoU', where),
        ious=tuple(by_name[name] for name in names),
        confusion=confusion,
    )


def read_run(folder: str | Path) -> RunFolder:
    """Read a run's folder; files of later stages may be missing.

    Raises:
        RunError: The folder does not hold a run, or a file of it is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f'{folder} is not a folder')
    manifest = read_manifest(folder)
    for stage in manifest['stages']:
        made = stage.folder and folder / stage.folder
        if stage.state == 'finished' and made and not made.is_dir():
            raise RunError(
                f'{folder / MANIFEST}: stage ({stage.name}) is finished, but '
                f'{made} '
                'is not there'
            )
    classes: list[RunClass] = []
    images: list[RunImage] = []
    # Both or neither: a run may have ended before its data was ready.
    if (folder / CLASSES).exists() or (folder / INDEX).exists():
        classes = load_classes(folder)
        read_json(folder / INDEX)
        images = load_images(folder)
        _check_images(folder, images, [info.name for info in classes])
    run = RunFolder(
        folder=folder,
        options=manifest['options'],
        versions=manifest['versions'],
        notes=tuple(manifest['notes']),
        stages=tuple(manifest['stages']),
        classes=tuple(classes),
        images=tuple(images),
    )
    scores = read_scores(folder, [info.name for info in classes])
    imports = run.options.get('seeds') is not None
    return replace(
        run,
        scores={role: scores[role] for role in run.roles if role in scores},
        outside=_read_if_there(folder / OUTSIDE) if imports else None,
        joined=(
            _read_if_there(folder / JOINED)
            if run.has_stage('joined')
            else None
        ),
    )


def _read_if_there(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _check_images(
    folder: Path, images: Sequence[RunImage], names: Sequence[str]
) -> None:
    """Check that the files and the classes of all images exist."""
    if not images:
        raise RunError(f'{folder / INDEX} lists no images')
    for image in images:
        where = f'{folder / INDEX}: image {image.id!r}'
        if unknown := [name for name in image.labels if name not in names]:
            raise RunError(f'{where}: {CLASSES} has no {unknown}')
        for file in filter(None, (image.file, image.truth)):
            if not (folder / DATA / file).is_file():
                raise RunError(f'{where}: {folder / DATA / file} is not there')
