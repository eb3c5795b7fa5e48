"""Find masks in a folder, and images without a mask."""

from collections.abc import Sequence
from pathlib import Path

from mmengine import fileio

# Folder in which our writers put masks, below their own.
MASKS = 'masks'


def find_missing_masks(
    names: Sequence[str],
    folder: str,
    suffix: str = '.png',
    backend_args: dict | None = None,
) -> list[str]:
    """Return the images without a mask, by one listing of the folder.

    Args:
        names: Paths of the images below their folder, without suffixes.
        folder: Folder of the masks, laid out like that of the images.
        suffix: Suffix of the masks, with its dot.
        backend_args: Arguments of mmengine's file backend.
    """
    files = fileio.list_dir_or_file(
        folder,
        list_dir=False,
        suffix=suffix,
        recursive=True,
        backend_args=backend_args,
    )
    present = {file.replace('\\', '/') for file in files}
    return [name for name in names if name + suffix not in present]


def check_masks_exist(
    names: Sequence[str],
    folder: str,
    suffix: str = '.png',
    backend_args: dict | None = None,
    shown: int = 5,
) -> None:
    """Check that every image has a mask.

    Args:
        names: Paths of the images below their folder, without suffixes.
        folder: Folder of the masks, laid out like that of the images.
        suffix: Suffix of the masks, with its dot.
        backend_args: Arguments of mmengine's file backend.
        shown: Number of images that the message names.

    Raises:
        FileNotFoundError: Masks are missing; the message has their number
            and the first of them.
    """
    missing = find_missing_masks(names, folder, suffix, backend_args)
    if not missing:
        return
    first = ', '.join(f'{name}{suffix}' for name in missing[:shown])
    more = ', ...' if len(missing) > shown else ''
    raise FileNotFoundError(
        f'{folder} lacks the masks of {len(missing)} of {len(names)} listed '
        f'images ({first}{more}). Make them, or take the images off the list.'
    )


def find_mask_folder(folder: str | Path, suffix: str = '.png') -> Path:
    """Return the folder that holds masks: the one given, or its ``masks``.

    Args:
        folder: Folder of the masks, or the one that ``PseudoMaskWriter``
            wrote; relative to the working folder, or absolute.
        suffix: Suffix of the masks, with its dot.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: The folder does not exist, or has no mask.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        problem = 'is not a folder' if folder.exists() else 'does not exist'
        raise FileNotFoundError(f'{folder} {problem}')
    # Masks of nested ids lie deeper; beside `masks` there may be pictures.
    for place, pattern in (
        (folder, f'*{suffix}'),
        (folder / MASKS, f'**/*{suffix}'),
        (folder, f'**/*{suffix}'),
    ):
        if any(place.glob(pattern)):
            return place
    raise FileNotFoundError(f'{folder} holds no *{suffix} mask')
