"""Match of the names in a user's file to the images of a folder."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from .image_labels import IMAGE_SUFFIXES

# What annotation tools put in front of a name or behind it: Label Studio
# "1a2b3c4d-cat.jpg", Roboflow "cat_jpg.rf.0123456789abcdef.jpg".
UPLOAD = re.compile(r'^[0-9a-f]{8}-(?=.)')
ROBOFLOW = re.compile(r'_(jpe?g|png|bmp|tiff?|webp)\.rf\.[0-9a-z]+$')
COCO = re.compile(r'^coco_(?:train|val|test)\d{4}_(?=\d+$)')


@dataclass(frozen=True)
class Match:
    """Image that a name stands for.

    Attributes:
        paths: Paths of the images; several if the name is ambiguous.
        whole: Whether the name is a whole file name, with its suffix.
        way: What had to be ignored to find it; '' for nothing but case.
    """

    paths: tuple[str, ...]
    whole: bool
    way: str = ''


class ImageFinder:
    """Index of image paths by the names that a user's file may give.

    A name may be a URL, the path below the folder, the end of it, or the
    file's name; with or without its suffix, in any case and Unicode form,
    with what an annotation tool added, or with other leading zeros.

    Args:
        paths: Relative paths of the images, with '/'.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: dict[str, set[str]] = defaultdict(set)
        self._numbers: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            tails = list(_tails(_key(path)))
            for tail in tails:
                self._paths[tail].add(path)
                self._paths[_bare(tail)].add(path)
            stem = COCO.sub('', _bare(tails[-1]))
            if stem.isdecimal():
                self._numbers[stem.lstrip('0')].add(path)

    def match(self, name: str) -> Match | None:
        """Return the images that a name may stand for; None without any."""
        match = self._match(_key(name))
        if match is None or len(match.paths) == 1:
            return match
        # Files may differ in case alone; then the name's own case counts.
        end = name.strip().replace('\\', '/')
        same = [
            path
            for path in match.paths
            if end in (path, path.rpartition('.')[0])
            or path.endswith(f'/{end}')
        ]
        return replace(match, paths=tuple(same)) if len(same) == 1 else match

    def _match(self, key: str) -> Match | None:
        for spelling, way in _spellings(key):
            for tail in _tails(spelling):
                whole = self._paths.get(tail)
                if whole:
                    is_file = tail.endswith(IMAGE_SUFFIXES)
                    return Match(tuple(sorted(whole)), is_file, way)
                bare = self._paths.get(_bare(tail))
                if bare:
                    way = way or 'the suffix'
                    return Match(tuple(sorted(bare)), whole=False, way=way)
        stem = _bare(key.rpartition('/')[2])
        if stem.isdecimal():
            same = self._numbers.get(stem.lstrip('0'))
            if same:
                return Match(
                    tuple(sorted(same)), whole=False, way='leading zeros'
                )
        return None

    def find(
        self, name: str, where: str, ways: Counter[str] | None = None
    ) -> str | None:
        """Return the path of the image with a name; None without a match.

        Args:
            name: Name in the user's file.
            where: File and line of the name, for messages.
            ways: Counter of the changes that matches needed, to add to.

        Raises:
            ValueError: Several images have that name.
        """
        match = self.match(name)
        if match is None:
            return None
        if len(match.paths) > 1:
            raise ValueError(
                f'{where}: {name!r} may be any of {len(match.paths)} images, '
                f'{match.paths[0]} or {match.paths[1]}; give the folder too'
            )
        if match.way and ways is not None:
            ways[match.way] += 1
        return match.paths[0]


def looks_like_file(name: str) -> bool:
    """Return whether a name ends like an image file."""
    plain = name.strip().lower()
    # A URL has its query behind the name, or the name in its query.
    return plain.endswith(IMAGE_SUFFIXES) or plain.split('?')[0].endswith(
        IMAGE_SUFFIXES
    )


def _key(name: str) -> str:
    text = unicodedata.normalize('NFC', name.strip()).replace('\\', '/')
    return unicodedata.normalize('NFC', text.casefold())


def _spellings(key: str) -> Iterator[tuple[str, str]]:
    """Yield a name as it is, then without what tools add to it."""
    yield key, ''
    way = 'the rest of the URL'
    if '://' in key or '?' in key or '%' in key:
        # Label Studio keeps local files behind "?d=".
        path = key.split('?d=')[-1] if '?d=' in key else key.split('?')[0]
        key = unquote(path)
        yield key, way
    folder, _, file = key.rpartition('/')
    if UPLOAD.match(file):
        yield UPLOAD.sub('', file), 'the prefix of an upload'
    stem = _bare(file)
    original = ROBOFLOW.search(stem)
    if original:
        yield f'{stem[: original.start()]}.{original[1]}', "Roboflow's suffix"
    if COCO.match(stem):
        yield COCO.sub('', stem), "COCO's prefix"


def _bare(key: str) -> str:
    """Return a name without the suffix of an image."""
    if key.endswith(IMAGE_SUFFIXES):
        return key[: key.rindex('.')]
    return key


def _tails(key: str) -> Iterator[str]:
    """Yield a path, then the path without its first folder, and so on."""
    parts = PurePosixPath(key).parts
    for start in range(len(parts)):
        yield '/'.join(parts[start:]).lstrip('/')
