"""Search for another tool's masks, and choice of the reader of their files."""

from collections.abc import Sequence
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.apps.wsss.inputs.classes import ClassList
from mmseg_weakclip.apps.wsss.options import Options
from mmseg_weakclip.common.names import (
    BACKGROUND,
    name_key,
    read_vocabulary,
)

from .file_names import match_files
from .png_masks import ClassMasks, IndexMasks
from .score_maps import THRESHOLD, ScoreMaps
from .source import OutsideMasks
from .veto import own_ids

# File in a folder of masks that names their classes in the order of their ids.
CLASS_FILE = 'classes.txt'
SUFFIXES = ('.png', '.npz')
SHOWN = 3
NAMED = 10


def open_outside(
    options: Options,
    images: Sequence[str],
    classes: ClassList,
    *,
    is_ordered: bool,
) -> OutsideMasks:
    """Find the masks that ``--seeds`` names, and how to read them.

    Args:
        options: Options of the user; they have ``seeds``.
        images: Paths of all images.
        classes: Classes of the run.
        is_ordered: Whether the user gave their order, by ``--classes``.

    Raises:
        UserError: The user has to correct something.
    """
    path = Path(options.seeds or '')
    try:
        if path.is_dir():
            masks = _open_folder(path, options, images, classes, is_ordered)
        elif path.is_file():
            raise ValueError(
                f'--seeds {path} is no folder of PNG or npz files'
            )
        else:
            raise ValueError(f'--seeds {path} does not exist')
        if not masks.images:
            raise ValueError(f'--seeds {path} has a mask of no image')
        if not any(own_ids(masks.names, classes.names[1:])):
            raise ValueError(
                f'--seeds {path}: none of its classes '
                f'({", ".join(masks.names[:NAMED])}) is one of the run '
                f'({", ".join(classes.names[1:][:NAMED])})'
            )
    except (OSError, ValueError) as error:
        raise UserError(' '.join(str(error).split())) from error
    return masks


def _open_folder(
    folder: Path,
    options: Options,
    images: Sequence[str],
    classes: ClassList,
    is_ordered: bool,  # noqa: FBT001
) -> OutsideMasks:
    found = _list_files(folder)
    given = _read_names(folder, options)
    names = given or classes.names[1:]
    is_npz = found[0].suffix.lower() == '.npz'
    matched = match_files(folder, found, images, () if is_npz else names)
    notes = describe_unmatched(matched.unknown)
    if matched.shows_classes:
        return ClassMasks(folder, names, tuple(notes), matched.files)
    if given is None and not is_ordered:
        raise ValueError(
            f'--seeds {folder} needs --seed-classes or --classes: ids in '
            'masks are positions in a list of classes, which labels alone do '
            'not give'
        )
    notes.insert(0, _describe_ids(names, folder, options, given))
    if not is_npz:
        return IndexMasks(folder, names, tuple(notes), matched.files)
    threshold = options.seed_threshold
    threshold = THRESHOLD if threshold is None else threshold
    notes.append(
        f'background: pixels without a score above {threshold:g} '
        '(--seed-threshold), or where its own score is the highest'
    )
    return ScoreMaps(folder, names, tuple(notes), matched.files, threshold)


def _list_files(folder: Path) -> list[Path]:
    """Return the PNG or npz files below a folder, hidden ones left out."""
    found = [
        path
        for path in sorted(folder.rglob('*'))
        if path.suffix.lower() in SUFFIXES
        and not any(
            part.startswith('.') for part in path.relative_to(folder).parts
        )
    ]
    if not found:
        raise ValueError(f'--seeds {folder} holds no PNG and no npz file')
    if len({path.suffix.lower() for path in found}) > 1:
        raise ValueError(
            f'--seeds {folder} holds PNG and npz files; give the folder of '
            'one kind'
        )
    return found


def _read_names(folder: Path, options: Options) -> tuple[str, ...] | None:
    """Return the names of the ids in a folder of masks; None if unknown."""
    spec = options.seed_classes
    if spec is None and (folder / CLASS_FILE).is_file():
        spec = str(folder / CLASS_FILE)
    if spec is None:
        return None
    names = read_vocabulary(spec)
    # Some tools write "_background_".
    names = names[1:] if name_key(names[0]) == BACKGROUND else names
    if not names:
        raise ValueError(f'{spec} names no class but the background')
    return names


def _describe_ids(
    names: Sequence[str],
    folder: Path,
    options: Options,
    given: Sequence[str] | None,
) -> str:
    listed = ', '.join(f'{i} {name}' for i, name in enumerate(names[:5], 1))
    more = ', ...' if names[5:] else ''
    origin = '--classes'
    if given is not None:
        origin = '--seed-classes' if options.seed_classes else CLASS_FILE
    return f'ids as in {origin}: 0 background, {listed}{more}'


def describe_unmatched(names: Sequence[str]) -> list[str]:
    """Return a line about masks that are called like no image, if any."""
    if not names:
        return []
    more = ', ...' if names[SHOWN:] else ''
    return [
        f'{count(len(names), "mask")} called like no image: '
        f'{", ".join(names[:SHOWN])}{more}'
    ]
