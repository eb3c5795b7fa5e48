"""Match of the names of mask files to images, and to classes."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmseg_weakclip.common.names import NameIndex
from mmseg_weakclip.datasets.labels.matching import ImageFinder

from .source import MaskFile

# Number of an object behind the class that it belongs to: "dog_2".
OBJECT = re.compile(r'_\d+$')


@dataclass(frozen=True)
class MatchedFiles:
    """Files of masks by the image that they belong to.

    Attributes:
        files: Files by path of the image.
        shows_classes: Whether each file shows one class or object.
        unknown: Names of files of no image.
    """

    files: dict[str, tuple[MaskFile, ...]]
    shows_classes: bool
    unknown: list[str]


def match_files(
    folder: Path,
    paths: Sequence[Path],
    images: Sequence[str],
    names: Sequence[str],
) -> MatchedFiles:
    """Match the files of masks to images.

    A file may be called like its image; or, where it shows one class or
    object, ``IMAGE_CLASS``, ``IMAGE/CLASS``, or either with ``_NUMBER``.

    Args:
        folder: Folder of the masks.
        paths: Files below it.
        images: Paths of all images.
        names: Names of the classes of such files, from value 1; without any,
            a file belongs to all of its image.

    Raises:
        ValueError: A file may belong to several images or classes, two files
            show all of an image, no file belongs to an image, or the folder
            has files of both kinds.
    """
    finder, index = ImageFinder(images), NameIndex(names)
    where = f'--seeds {folder}'
    files: dict[str, list[MaskFile]] = defaultdict(list)
    unknown: list[str] = []
    for path in paths:
        name = path.relative_to(folder).with_suffix('').as_posix()
        readings = dict.fromkeys(_readings(name, finder, index, where))
        if len(readings) > 1:
            texts = [
                f'{names[value - 1]} of {image}' if value else f'all {image}'
                for image, value in readings
            ]
            raise ValueError(
                f'{where}: {path.relative_to(folder)} may show '
                f'{" or ".join(texts)}; put masks of one class into a folder '
                'for each image, IMAGE/CLASS.png, and masks of all classes '
                'into one that is not called like a class'
            )
        for image, value in readings:
            files[image].append(MaskFile(path, value))
        if not readings:
            unknown.append(path.relative_to(folder).as_posix())
    if not files:
        raise ValueError(
            f'{where}: no mask is called like an image; the first mask is '
            f'{unknown[0]}, the first image {images[0]}'
        )
    _check_kinds(files, where)
    some = next(iter(files.values()))
    return MatchedFiles(
        {image: tuple(found) for image, found in files.items()},
        shows_classes=some[0].value > 0,
        unknown=unknown,
    )


def _readings(
    name: str, finder: ImageFinder, index: NameIndex, where: str
) -> Iterator[tuple[str, int]]:
    """Yield the image and the class, or 0, that a file's name may mean."""
    image = finder.find(name, where)
    path = PurePosixPath(name)
    if image is not None:
        yield image, 0
        # CLASS/IMAGE, unless the image itself lies in such a folder.
        folder = path.parent.name
        value = index.find(folder) if folder else None
        if value is not None and PurePosixPath(image).parent.name != folder:
            yield image, value + 1
    for stem in dict.fromkeys((path.name, OBJECT.sub('', path.name))):
        cuts = [i for i, sign in enumerate(stem) if sign == '_' and i]
        pairs = [(stem[:i], stem[i + 1 :]) for i in cuts]
        pairs = [(str(path.with_name(image)), label) for image, label in pairs]
        if len(path.parts) > 1:
            pairs.append((str(path.parent), stem))
        for image_name, label in pairs:
            value = index.find(label) if label else None
            image = (
                finder.find(image_name, where) if value is not None else None
            )
            if value is not None and image is not None:
                yield image, value + 1


def _check_kinds(files: dict[str, list[MaskFile]], where: str) -> None:
    whole = [f.path for found in files.values() for f in found if not f.value]
    parts = [f.path for found in files.values() for f in found if f.value]
    if whole and parts:
        raise ValueError(
            f'{where} has masks of whole images, such as {whole[0].name}, '
            f'and of single classes, such as {parts[0].name}; give folders '
            'of one kind'
        )
    for image, found in files.items():
        if whole and len(found) > 1:
            raise ValueError(
                f'{where} has two masks of {image}: {found[0].path} and '
                f'{found[1].path}'
            )
