"""Image files of a folder, and a unique id for each."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.common.image_headers import heif_is_read
from mmseg_weakclip.datasets.labels.image_labels import IMAGE_SUFFIXES

CONVERT = 'convert to JPEG or PNG to use them'
HEIF = {'.heic', '.heif'}
# Pictures and films that are not read -> what to do; '' for CONVERT.
UNREAD = {
    **dict.fromkeys(HEIF, "pip install 'mmseg_weakclip[heic]' reads them"),
    **dict.fromkeys(
        (
            '.gif', '.avif', '.jxl', '.jp2', '.svg', '.psd', '.ico', '.pdf',
            '.raw', '.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2',
            '.raf', '.pef', '.srw', '.exr', '.hdr',
        ),
        '',
    ),
    **dict.fromkeys(
        ('.mp4', '.mov', '.avi', '.mkv', '.webm'), 'films are not used'
    ),
}  # fmt: skip
SYSTEM_FILES = {'Thumbs.db', 'desktop.ini'}
# Characters that file systems, lists of ids or other trainers reject.
AWKWARD = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]|^\s+|\s+$|^\.+')


@dataclass(frozen=True)
class FoundImages:
    """Files below a folder of images.

    Attributes:
        paths: Relative paths of the images, sorted.
        others: Relative paths of all other files, sorted.
    """

    paths: list[str]
    others: list[str]

    def describe_others(self) -> list[str]:
        """Return what is not read, by suffix, with the first three names."""
        groups: dict[str, list[str]] = defaultdict(list)
        for path in self.others:
            suffix = PurePosixPath(path).suffix.lower()
            if suffix in UNREAD:
                groups[suffix].append(path)
        lines = []
        for suffix, paths in sorted(groups.items()):
            more = ', ...' if len(paths) > 3 else ''
            cure = UNREAD[suffix] or CONVERT
            lines.append(
                f'{count(len(paths), f"{suffix} file")} not read: '
                f'{", ".join(paths[:3])}{more}; {cure}'
            )
        rest = [
            path
            for path in self.others
            if PurePosixPath(path).suffix.lower() not in UNREAD
        ]
        if rest:
            more = ', ...' if len(rest) > 3 else ''
            lines.append(
                f'{count(len(rest), "other file")} among the images: '
                f'{", ".join(rest[:3])}{more}'
            )
        return lines


def find_images(folder: Path, leave_out: Iterable[Path] = ()) -> FoundImages:
    """Find all images below a folder.

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
    readable = set(IMAGE_SUFFIXES) - (set() if heif_is_read() else HEIF)
    found: list[str] = []
    others: list[str] = []
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
            if name.startswith('.') or name in SYSTEM_FILES:
                continue
            path = Path(root, name).relative_to(folder).as_posix()
            is_image = PurePosixPath(name).suffix.lower() in readable
            (found if is_image else others).append(path)
    images = FoundImages(sorted(found), sorted(others))
    if not found:
        there = ''.join(f'; {line}' for line in images.describe_others())
        raise UserError(
            f'--images {folder} holds no image '
            f'({", ".join(IMAGE_SUFFIXES)}){there}'
        )
    return images


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
