"""A label file or folder of unknown format, and how it is to be read."""

import codecs
import functools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .matching import ImageFinder
from .records import LabelFile
from .tables.options import TableOptions

# Wraps the files that a reader goes through, e.g. to show progress.
Track = Callable[[Sequence[Path]], Iterable[Path]]
# Files of a folder that are looked at to tell its format.
LOOKED_AT = 5000
HEAD_BYTES = 65536
# Longest line that is looked at to tell lines of JSON.
LINE_BYTES = 1 << 24
BLANKS = codecs.BOM_UTF8 + b' \t\r\n'


@dataclass(frozen=True)
class ReadOptions:
    """How a label file is to be read.

    Attributes:
        classes: Known foreground classes in their order; None takes the
            file's own, or what it names.
        finder: Images that are there; None if unknown.
        table: What the user says about a table.
        ids: Ids of the images to read; None reads all. For folders with a
            file per image.
        track: Wraps the list of files, e.g. to show progress.
        difficult: Whether objects marked as difficult count.
        crowd: Whether crowd regions count.
        min_pixels: Smallest area of a class in a mask, in pixels.
        ignore_index: Id of a mask's pixels that count for no class.
    """

    classes: tuple[str, ...] | None = None
    finder: ImageFinder | None = None
    table: TableOptions = field(default_factory=TableOptions)
    ids: Sequence[str] | None = None
    track: Track = iter
    difficult: bool = True
    crowd: bool = True
    min_pixels: int = 1
    ignore_index: int = 255


@dataclass(frozen=True)
class Content:
    """A label file or folder, read as far as its format asks.

    Attributes:
        path: Path of the file or folder.
    """

    path: Path

    @property
    def suffix(self) -> str:
        """Suffix of the file in lower case; '' for a folder."""
        return '' if self.path.is_dir() else self.path.suffix.lower()

    @functools.cached_property
    def files(self) -> list[Path]:
        """First files directly in the folder, sorted by name."""
        if not self.path.is_dir():
            return []
        found = (
            entry
            for entry in self.path.iterdir()
            if entry.is_file() and not entry.name.startswith('.')
        )
        return sorted(found)[:LOOKED_AT]

    @functools.cached_property
    def folders(self) -> list[Path]:
        """Folders directly in the folder, sorted by name."""
        if not self.path.is_dir():
            return []
        return sorted(
            entry
            for entry in self.path.iterdir()
            if entry.is_dir() and not entry.name.startswith('.')
        )

    @functools.cached_property
    def tree(self) -> list[str]:
        """Paths of all files below the folder, with '/', sorted.

        Hidden files and folders are left out; links are followed once.
        """
        found: list[str] = []
        # Real paths, since links may form cycles.
        seen: set[str] = set()
        for root, folders, files in os.walk(self.path, followlinks=True):
            seen.add(os.path.realpath(root))
            folders[:] = [
                name
                for name in folders
                if not name.startswith('.')
                and os.path.realpath(os.path.join(root, name)) not in seen
            ]
            start = Path(root).relative_to(self.path)
            found += [
                (start / name).as_posix()
                for name in files
                if not name.startswith('.')
            ]
        return sorted(found)

    @property
    def suffixes(self) -> Counter[str]:
        """Number of files in the folder by suffix, in lower case."""
        return Counter(file.suffix.lower() for file in self.files)

    @functools.cached_property
    def head(self) -> str:
        """First lines of the file, for a look."""
        if self.path.is_dir():
            return ''
        with self.path.open('rb') as file:
            start = file.read(HEAD_BYTES)
        return start.decode('utf-8-sig', errors='replace')

    @functools.cached_property
    def json(self) -> Any:
        """Value of a JSON file.

        Raises:
            ValueError: The file is not valid JSON.
        """
        return load_json(self.path)

    @functools.cached_property
    def first_record(self) -> dict[str, Any]:
        """JSON object in the first line that is not blank; {} for others."""
        if not self.head.lstrip().startswith('{'):
            return {}
        with self.path.open('rb') as file:
            for line in iter(lambda: file.readline(LINE_BYTES), b''):
                if line.strip(BLANKS):
                    break
            else:
                return {}
        try:
            value = json.loads(line.removeprefix(codecs.BOM_UTF8))
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @functools.cached_property
    def json_lines(self) -> list[tuple[int, dict[str, Any]]]:
        """Numbers of lines, and the JSON objects in them.

        Raises:
            ValueError: A line is not a JSON object, or not in UTF-8.
        """
        found = []
        # Not splitlines(), which cuts at signs that JSON's texts may hold.
        lines = self.path.read_bytes().removeprefix(codecs.BOM_UTF8)
        for number, line in enumerate(lines.split(b'\n'), 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f'{self.path}, line {number} is not valid JSON: {error}. '
                    'Is the file cut off? Export it again.'
                ) from error
            if not isinstance(value, dict):
                raise ValueError(
                    f'{self.path}, line {number} is not a JSON object.'
                )
            found.append((number, value))
        return found


@dataclass(frozen=True)
class LabelFormat:
    """A format of label files.

    Attributes:
        name: Name for ``--format``.
        title: Name of the tool or data set, for messages.
        matches: Function that tells whether a file is of this format.
        read: Function that reads it.
    """

    name: str
    title: str
    matches: Callable[[Content], bool]
    read: Callable[[Content, ReadOptions], LabelFile]


def load_json(path: str | Path) -> Any:
    """Load a JSON file.

    Raises:
        ValueError: The file is not valid JSON in UTF-8, UTF-16 or UTF-32.
    """
    try:
        # Bytes: json tells UTF-8, UTF-16 and UTF-32 apart.
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{path} is not valid JSON: {error}. Is the file cut off? Export '
            'it again.'
        ) from error


def require_classes(
    path: str | Path, classes: Sequence[str] | None
) -> Sequence[str]:
    """Return the class list of a format that has none of its own.

    Args:
        path: Path of the labels, for the message.
        classes: Class names.

    Raises:
        ValueError: No classes are given.
    """
    if classes is None:
        raise ValueError(
            f'{path} does not say which classes there are: give the class '
            'list (--classes of the tool).'
        )
    return classes


def listed_files(
    folder: str | Path, suffix: str, ids: Sequence[str] | None
) -> list[Path]:
    """List the files ``<id><suffix>`` of a folder.

    Args:
        folder: Path of the folder.
        suffix: Suffix of the files, with its dot.
        ids: Ids of the files; None lists all.

    Raises:
        FileNotFoundError: There is no such file, or some are missing.
    """
    folder = Path(folder)
    if ids is None:
        files = sorted(folder.glob(f'*{suffix}'))
        if not files:
            raise FileNotFoundError(f'{folder} holds no *{suffix} file.')
        return files
    files = [folder / f'{image_id}{suffix}' for image_id in ids]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(files)} listed files are missing, the '
            f'first is {missing[0]}.'
        )
    return files
