"""Check the data and lay it out for the other stages."""

import os
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.apps.run_folder.schema import (
    DATA,
    LABELS,
    SPLITS,
    RunClass,
    RunImage,
)
from mmseg_weakclip.apps.run_folder.store import write_classes, write_images
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels

from .classes import ClassList
from .copy_images import CopyResult, CopyTask, copy_image
from .given import Sources, list_images


@dataclass(frozen=True)
class Prepared:
    """Data of a run that has been decoded.

    Attributes:
        images: Images that can be used.
        notes: What was changed or left out, a sentence each.
    """

    images: list[RunImage]
    notes: list[str]


def prepare_data(
    options: Options, sources: Sources, folder: Path, workers: int
) -> Prepared:
    """Decode every image once, and write ``data/``.

    Args:
        options: Options of the user.
        sources: Images, labels and masks of the user.
        folder: Folder of the run.
        workers: Threads; OpenCV and Pillow decode without Python's lock.

    Returns:
        All images, without unreadable ones if the options allow to skip
        them, and notes.

    Raises:
        UserError: Images or masks cannot be read.
    """
    data = folder / DATA
    planned = list_images(sources)
    for name in ('images', 'truth'):
        (data / name).mkdir(parents=True, exist_ok=True)
    palette = tuple(tuple(color) for color in sources.classes.palette)
    tasks = [
        CopyTask(
            image.id,
            str(Path(options.images, image.source)),
            str(data),
            options.max_side,
            str(sources.truth[image.source]) if image.truth else None,
            palette,
        )
        for image in planned
    ]
    images, errors = [], []
    truth_ids: set[int] = set()
    scaled: dict[str, list[str]] = {}
    # The copies come first, so that their bar is finished.
    for done, image in zip(_copy(tasks, workers), planned):
        truth_ids |= done.truth_ids
        if done.note:
            scaled.setdefault(done.note, []).append(image.source)
        if done.error:
            errors.append(done.error)
        else:
            images.append(
                replace(
                    image,
                    file=f'images/{done.file}',
                    size=done.size,
                    original_size=done.original_size,
                    digest=done.digest,
                )
            )
    if errors and not options.skip_damaged:
        raise UserError(
            f'{count(len(errors), "file")} cannot be used, the first: '
            f'{errors[0]} Repair or remove them, or go on without them by '
            '--skip-damaged'
        )
    if not any(image.split == 'train' for image in images):
        raise UserError('no image with a label is left to train on')
    notes = [
        f'{count(len(errors), "file")} cannot be used and '
        f'{"is" if len(errors) == 1 else "are"} skipped: '
        + ' '.join(errors[:3])
    ] * bool(errors)
    if sources.truth:
        notes += check_truth(truth_ids, sources.classes)
    for note, paths in scaled.items():
        more = ', ...' if len(paths) > 3 else ''
        notes.append(f'{", ".join(paths[:3])}{more}: {note}')
    _remove_others(
        data / 'images', {Path(image.file).name for image in images}
    )
    _remove_others(
        data / 'truth',
        {f'{image.id}.png' for image in images if image.truth},
    )
    write_data(folder, images, sources.classes)
    return Prepared(images, notes)


def check_truth(ids: Set[int], classes: ClassList) -> list[str]:
    """Check that the true masks show classes, and return what they lack.

    Args:
        ids: All ids in the masks, without 255.
        classes: All classes.

    Raises:
        UserError: No mask shows a class, so that no score means anything.
    """
    if not ids - {0}:
        first = classes.classes[0].name
        raise UserError(
            'no mask of --truth shows a class: they hold 0 (background) and '
            '255 (ignored) at most. The classes have the ids 1 '
            f'({first}) to {len(classes.classes)}; write 1 where 255 means '
            f'{first}'
        )
    absent = [
        name for i, name in enumerate(classes.names) if i and i not in ids
    ]
    if not absent:
        return []
    more = ', ...' if len(absent) > 10 else ''
    return [
        f'{count(len(absent), "class", "classes")} in no mask of --truth, '
        f'and so without a score: {", ".join(absent[:10])}{more}'
    ]


def _copy(tasks: Sequence[CopyTask], workers: int) -> Iterator[CopyResult]:
    """Copy images in threads, and yield the results in their order."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        yield from progress_bar(
            'check the data', len(tasks), pool.map(copy_image, tasks)
        )


def _remove_others(folder: Path, kept: set[str]) -> None:
    with os.scandir(folder) as found:
        for item in found:
            if item.name not in kept:
                os.unlink(item.path)


def write_data(
    folder: Path, images: Sequence[RunImage], classes: ClassList
) -> None:
    """Write lists, classes and index of the data.

    The index comes last: where it exists, the data is complete.

    Args:
        folder: Folder of the run.
        images: All images, in order.
        classes: Classes of the run.
    """
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for image in images:
        lists[image.split].append(Path(image.file).name)
    lists['labelled'] = lists['train'] + lists['val']
    lists['all'] = lists['labelled'] + lists['unlabelled']
    for name, files in lists.items():
        text = ''.join(f'{file}\n' for file in files)
        write_atomically(folder / DATA / f'{name}.txt', text.encode())
    names = [info.name for info in classes.classes]
    ids = {name: index for index, name in enumerate(names)}
    labels = {
        image.id: tuple(sorted(ids[name] for name in image.labels))
        for image in images
        if image.labels
    }
    path = folder / LABELS
    ImageLabels(tuple(names), labels, str(path)).save(path)
    own_colors = [
        None,
        *(i.color is not None or None for i in classes.classes),
    ]
    displays = [classes.names[0], *(info.display for info in classes.classes)]
    write_classes(
        folder,
        [
            RunClass(name, display, (red, green, blue), own)
            for name, display, (red, green, blue), own in zip(
                classes.names, displays, classes.palette, own_colors
            )
        ],
    )
    write_images(folder, images)
