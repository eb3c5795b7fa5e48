"""The first stage: check the data and lay it out for the others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mmseg_weakclip.apps.errors import WrongUse, count
from mmseg_weakclip.apps.run_folder.index import ImageEntry, write_index
from mmseg_weakclip.common.workers import map_in_order, progress_bar

from .classes import ClassList
from .copy_images import Copied, CopyJob, copy_image
from .images import assign_ids, find_images
from .labels import Labelling, read_labelling
from .options import Options
from .sources import find_truth, read_val_list, split_by_hash


@dataclass(frozen=True)
class Sources:
    """What a user gave, read and matched, before any image is decoded.

    Attributes:
        ids: Id by path of the image, below the folder of images.
        labelling: Classes and labels.
        val: Paths of the validation split.
        truth: Mask by path of the image.
    """

    ids: dict[str, str]
    labelling: Labelling
    val: set[str]
    truth: dict[str, Path]

    @property
    def classes(self) -> ClassList:
        return self.labelling.classes


def read_sources(options: Options, classes: ClassList | None) -> Sources:
    """Read folders, labels and lists.

    Args:
        options: Of the run.
        classes: As ``--classes`` gives them, or None.

    Raises:
        WrongUse: Something in them has to be put right.
    """
    own = [options.work_dir, options.truth]
    images = find_images(
        Path(options.images), [Path(path) for path in own if path is not None]
    )
    ids = assign_ids(images)
    labelling = read_labelling(Path(options.labels), images, classes)
    truth: dict[str, Path] = {}
    if options.truth is not None:
        if classes is None:
            raise WrongUse(
                '--truth needs --classes: the ids in masks are places in a '
                'list of classes, which labels alone do not give'
            )
        truth = find_truth(Path(options.truth), images)
    labelled = list(labelling.labels)
    if options.val_list is not None:
        val = read_val_list(Path(options.val_list), labelled)
    else:
        scored = [path for path in labelled if path in truth]
        val = split_by_hash(labelled, options.val_share, scored)
    return Sources(ids, labelling, val, truth)


def plan_entries(sources: Sources) -> list[ImageEntry]:
    """The images of the run; file and size are not known yet.

    Args:
        sources: What the user gave.
    """
    names = sources.classes.names
    entries = []
    for path, image_id in sources.ids.items():
        labels = sources.labelling.labels.get(path, ())
        split = 'val' if path in sources.val else 'train'
        truth = f'truth/{image_id}.png' if path in sources.truth else None
        entries.append(
            ImageEntry(
                id=image_id,
                source=path,
                file='',
                width=0,
                height=0,
                original_width=0,
                original_height=0,
                split=split if labels else 'unlabelled',
                labels=tuple(names[i] for i in labels),
                truth=truth,
                digest='',
            )
        )
    return entries


def prepare_data(
    options: Options, sources: Sources, folder: Path, workers: int
) -> list[ImageEntry]:
    """Decode every image once, and write ``data/``.

    Args:
        options: Of the run.
        sources: What the user gave.
        folder: ``data/``.
        workers: Processes.

    Returns:
        All images; those that can't be read are left out where the options
        say so.

    Raises:
        WrongUse: Images or masks can't be read.
    """
    planned = plan_entries(sources)
    for name in ('images', 'truth'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    palette = tuple(tuple(color) for color in sources.classes.palette)
    jobs = [
        CopyJob(
            entry.id,
            str(Path(options.images, entry.source)),
            str(folder),
            options.max_side,
            str(sources.truth[entry.source]) if entry.truth else None,
            palette,
        )
        for entry in planned
    ]
    copied = {done.image_id: done for done in _copy(jobs, workers)}
    entries, errors = [], []
    for entry in planned:
        done = copied[entry.id]
        if done.error:
            errors.append(done.error)
        else:
            entries.append(_complete(entry, done))
    if errors and not options.skip_damaged:
        raise WrongUse(
            f'{count(len(errors), "file")} can not be used, the first: '
            f'{errors[0]} Mend or remove them, or go on without them by '
            '--skip-damaged'
        )
    if not any(entry.split == 'train' for entry in entries):
        raise WrongUse('no image with a label is left to train on')
    kept = {Path(entry.file).name for entry in entries}
    for path in (folder / 'images').iterdir():
        if path.name not in kept:
            path.unlink()
    masks = {entry.id for entry in entries if entry.truth}
    for path in (folder / 'truth').iterdir():
        if path.stem not in masks:
            path.unlink()
    write_index(folder, entries, sources.classes)
    return entries


def _copy(jobs: list[CopyJob], workers: int) -> Iterable[Copied]:
    results = map_in_order(copy_image, jobs, workers, __name__, chunk=8)
    return progress_bar(len(jobs), results)


def _complete(entry: ImageEntry, done: Copied) -> ImageEntry:
    return replace(
        entry,
        file=f'images/{done.file}',
        width=done.width,
        height=done.height,
        original_width=done.original_width,
        original_height=done.original_height,
        digest=done.digest,
    )
