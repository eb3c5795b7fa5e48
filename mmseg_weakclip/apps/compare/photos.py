"""The photos that methods are compared on: which ones, and their folder."""

import csv
import hashlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence, Set
from pathlib import Path, PurePosixPath

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.given import Sources
from mmseg_weakclip.common.files import write_atomically

# Names in the folder of a comparison.
PHOTOS, TRUTH, LABELS, CLASSES = 'photos', 'truth', 'labels.csv', 'classes.txt'
HEADER = ('image', 'labels')
# Between labels in a cell; the first that is in no name. None is a sign that
# spellings of a class may leave out: 'a/b' would be read as the class 'ab'.
SEPARATORS = (';', '|', '+')


def choose_photos(
    labels: Mapping[str, Sequence[int]], limit: int, first: Set[str] = set()
) -> list[str]:
    """Choose photos so that all tags appear about equally often.

    One photo after the other, of the tag that has the fewest so far. Which of
    its photos is next depends on the name's digest, so that neighbours in a
    series are rarely both among them. The same photos give the same choice.

    Args:
        labels: Tags of each photo, by its path.
        limit: Number of photos at most.
        first: Paths that are taken before others of the same tag, such as
            those of photos with a true mask.

    Returns:
        Paths, sorted.
    """
    order = sorted(
        (path for path, tags in labels.items() if tags),
        key=lambda path: (
            path not in first,
            hashlib.sha256(path.encode()).digest(),
        ),
    )
    queues: dict[int, list[str]] = {}
    for path in reversed(order):
        for tag in labels[path]:
            queues.setdefault(tag, []).append(path)
    counts = dict.fromkeys(sorted(queues), 0)
    chosen: set[str] = set()
    while len(chosen) < min(limit, len(order)):
        tag = min(
            (tag for tag in counts if queues[tag]),
            key=lambda tag: (counts[tag], tag),
        )
        path = queues[tag].pop()
        if path in chosen:
            continue
        chosen.add(path)
        for other in labels[path]:
            counts[other] += 1
    return sorted(chosen)


def table_options(names: Sequence[str]) -> dict[str, str]:
    """Return the options of a run that reads the table of a comparison.

    They leave nothing to guess: in the names of classes, any sign may stand
    that tables have between names or between columns.

    Args:
        names: Names of all classes.

    Raises:
        UserError: The names hold all characters that could stand between
            them.
    """
    fitting = [s for s in SEPARATORS if not any(s in name for name in names)]
    if not fitting:
        raise UserError(
            f'names of classes hold each of {" ".join(SEPARATORS)}, one of '
            'which must stand between the tags of a photo; rename them'
        )
    return dict(
        label_format='csv',
        image_column=HEADER[0],
        label_columns=HEADER[1],
        delimiter=',',
        separator=fitting[0],
        layout='list',
    )


def write_photos(
    folder: Path, images: Path, sources: Sources, chosen: Sequence[str]
) -> None:
    """Write a folder of links to the chosen photos, their tags and classes.

    Args:
        folder: Folder of the comparison.
        images: Folder of all photos.
        sources: Photos, tags and masks of the user.
        chosen: Paths of the photos below ``images``.

    Raises:
        UserError: See :func:`table_options`.
    """
    names = sources.classes.names
    options = table_options(names)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        folder / CLASSES, ''.join(f'{name}\n' for name in names[1:]).encode()
    )
    table = io.StringIO()
    rows = csv.writer(
        table, delimiter=options['delimiter'], lineterminator='\n'
    )
    rows.writerow(HEADER)
    for path in chosen:
        tags = [names[tag] for tag in sources.labelling.labels[path]]
        rows.writerow([path, options['separator'].join(tags)])
    write_atomically(folder / LABELS, table.getvalue().encode())
    _link_all(folder / PHOTOS, {path: images / path for path in chosen})
    masks = {
        str(PurePosixPath(path).with_suffix('.png')): sources.truth[path]
        for path in chosen
        if path in sources.truth
    }
    _link_all(folder / TRUTH, masks)


def _link_all(folder: Path, files: Mapping[str, Path]) -> None:
    """Make a folder hold these files, as they are now, and no others."""
    if folder.is_dir():
        for path in sorted(folder.rglob('*'), reverse=True):
            name = path.relative_to(folder).as_posix()
            if not path.is_dir() and name not in files:
                path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        path = folder / name
        if not _stands_for(path, source):
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(source, path)


def _stands_for(path: Path, source: Path) -> bool:
    """Return whether a path is a link to a file, or a copy of it as it is.

    A folder of photos or of masks may be another than at the last call, and a
    file may have changed since it was copied.
    """
    if path.is_symlink():
        return path.resolve() == source.resolve()
    if not (path.is_file() and source.is_file()):
        return False
    copy, now = path.stat(), source.stat()
    return (copy.st_size, copy.st_mtime_ns) == (now.st_size, now.st_mtime_ns)


def _link(source: Path, path: Path) -> None:
    """Link a file, or copy it with its time, in place of what is there."""
    part = path.with_name(f'.{path.name}.part')
    part.unlink(missing_ok=True)
    try:
        part.symlink_to(source.absolute())
    except OSError:  # a file system or a user without links
        shutil.copy2(source, part)
    os.replace(part, path)
