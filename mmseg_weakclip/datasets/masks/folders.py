"""Which images have a mask in a folder, and which have none."""

from collections.abc import Sequence
from pathlib import Path

from mmengine import fileio

# Where our writers put masks, below the folder that they are given.
MASKS = 'masks'


def find_missing_masks(
    names: Sequence[str],
    folder: str,
    suffix: str = '.png',
    backend_args: dict | None = None,
) -> list[str]:
    """Images without a mask, by one listing of the folder.

    Args:
        names: Paths of the images below their folder, without suffixes.
        folder: The folder of the masks, laid out like that of the images.
        suffix: Of the masks.
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
    """Stop where an image has no mask; see :func:`find_missing_masks`.

    Args:
        names: As there.
        folder: As there.
        suffix: As there.
        backend_args: As there.
        shown: Number of images that the message names.

    Raises:
        FileNotFoundError: The masks that are missing, counted, the first of
            them named.
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
    """The folder that holds masks: the one given, or ``masks`` in it.

    Args:
        folder: What somebody calls the folder of their masks; relative to
            the working folder, or absolute.
        suffix: Of the masks.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: There is no such folder, or no mask in it.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder}')
    # Masks of nested ids lie deeper; beside `masks` there may be pictures.
    for place, pattern in (
        (folder, f'*{suffix}'),
        (folder / MASKS, f'**/*{suffix}'),
        (folder, f'**/*{suffix}'),
    ):
        if any(place.glob(pattern)):
            return place
    raise FileNotFoundError(f'{folder} holds no *{suffix} mask')
