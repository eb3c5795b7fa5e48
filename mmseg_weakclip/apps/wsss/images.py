"""Image files of a folder, and a unique id for each."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES

# Characters that file systems, lists of ids or other trainers reject.
AWKWARD = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]|^\s+|\s+$|^\.+')


def find_images(folder: Path, leave_out: Iterable[Path] = ()) -> list[str]:
    """Return the relative paths of all images below a folder, sorted.

    Hidden files and folders are left out. Suffixes count in any case.

    Args:
        folder: Folder to search, with all folders in it.
        leave_out: Folders to skip, such as those of the run and the masks.

    Raises:
        UserError: The folder is missing, a file, or without images.
    """
    if not folder.is_dir():
        what = 'is a file' if folder.is_file() else 'does not exist'
        raise UserError(f'--images {folder} {what}; give a folder of images')
    found = []
    # Real paths, since links may form cycles.
    seen = {path.resolve() for path in leave_out}
    for root, folders, files in os.walk(folder, followlinks=True):
        seen.add(Path(root).resolve())
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith('.')
            and Path(root, name).resolve() not in seen
        )
        for name in files:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in IMAGE_SUFFIXES and not name.startswith('.'):
                path = Path(root, name).relative_to(folder)
                found.append(path.as_posix())
    if not found:
        raise UserError(
            f'--images {folder} holds no image ({", ".join(IMAGE_SUFFIXES)})'
        )
    return sorted(found)


def assign_ids(paths: Iterable[str]) -> dict[str, str]:
    """Return an id for each image: its stem, with folders if ambiguous.

    Ids serve as file names on any file system: they differ in more than
    case, and hold no separators.

    Args:
        paths: Relative paths with '/'.

    Returns:
        Id by path, in the order of the paths.

    Raises:
        UserError: Two paths differ only in characters that ids cannot hold.
    """
    ids = {path: _clean(PurePosixPath(path).stem) for path in paths}
    for spelled in (_with_folders, _with_suffix):
        shared = defaultdict(list)
        for path, name in ids.items():
            shared[name.casefold()].append(path)
        for group in shared.values():
            if len(group) > 1:
                ids.update({path: spelled(path) for path in group})
    first: dict[str, str] = {}
    for path, name in ids.items():
        other = first.setdefault(name.casefold(), path)
        if other != path:
            raise UserError(f'{other} and {path} get the same id; rename one')
    return ids


def _with_folders(path: str) -> str:
    return _clean('__'.join(PurePosixPath(path).with_suffix('').parts))


def _with_suffix(path: str) -> str:
    return _clean('__'.join(PurePosixPath(path).parts).replace('.', '_'))


def _clean(name: str) -> str:
    name = AWKWARD.sub('_', name) or '_'
    # Readers of lists would take an id that ends like an image's name, or
    # holds such a word, for a file.
    words = re.split(r'(\s+)', name)
    return ''.join(
        word.replace('.', '_')
        if word.lower().endswith(IMAGE_SUFFIXES)
        else word
        for word in words
    )


class ImageFinder:
    """Index of image paths by the names that a user's file may give.

    A name may be the path below the folder, the end of it, or the file's
    name; with or without its suffix, in any case.

    Args:
        paths: Relative paths of the images.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            for key in _tails(path):
                self._paths[key].add(path)

    def find(self, name: str, where: str) -> str | None:
        """Return the path of the image with a name; None without a match.

        Args:
            name: Name in the user's file.
            where: File and line of the name, for messages.

        Raises:
            UserError: Several images have that name.
        """
        parts = PurePosixPath(name.strip().replace('\\', '/')).parts
        # The name may begin with folders above the folder of images.
        for start in range(len(parts)):
            key = '/'.join(parts[start:]).casefold()
            for spelling in (key, _bare(key)):
                paths = self._paths.get(spelling, set())
                if len(paths) > 1:
                    several = sorted(paths)
                    raise UserError(
                        f'{where}: {name!r} may be any of '
                        f'{count(len(several), "image")}, '
                        f'{several[0]} or {several[1]}; give the folder too'
                    )
                if paths:
                    return next(iter(paths))
        return None


def _bare(key: str) -> str:
    """Return a path without the suffix of an image."""
    if key.endswith(IMAGE_SUFFIXES):
        return key[: key.rindex('.')]
    return key


def _tails(path: str) -> Iterable[str]:
    parts = path.casefold().split('/')
    for start in range(len(parts)):
        tail = '/'.join(parts[start:])
        yield tail
        yield _bare(tail)
