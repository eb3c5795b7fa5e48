"""A folder for each class, as torchvision's and Keras's ImageFolder have it.

``cat/1.jpg``, or ``train/cat/1.jpg`` for parts of a data set.
"""

import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from mmseg_weakclip.common.names import NameIndex
from mmseg_weakclip.datasets.labels.content import (
    Content,
    LabelFormat,
    ReadOptions,
)
from mmseg_weakclip.datasets.labels.matching import looks_like_file
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow

from .values import counted

SPLITS = {'train', 'training', 'val', 'valid', 'validation', 'test',
          'testing', 'dev', 'eval'}  # fmt: skip
# Folders of a data set that are no classes.
PARTS = {'image', 'images', 'img', 'imgs', 'jpegimages', 'photos', 'pictures',
         'pics', 'data', 'dataset', 'label', 'labels', 'mask', 'masks',
         'annotation', 'annotations', 'ann', 'anns', 'gt', 'groundtruth',
         'ground_truth', 'segmentationclass', 'segmentationobject',
         'imagesets', 'leftimg8bit', 'gtfine', 'gtcoarse', 'raw', 'input',
         'output', 'results', 'predictions', 'thumbnails', 'originals',
         'train2014', 'train2017', 'val2014', 'val2017',
         'upload', 'uploads'}  # fmt: skip
# Ids in place of names: numbers, and synsets of WordNet.
IDS = re.compile(r'^\d+$|^n\d{8}$')


def _matches(content: Content) -> bool:
    """Return whether a folder holds images in folders with names."""
    if not content.path.is_dir():
        return False
    folders = {name for name, _ in _images_by_class(content) if name}
    return bool(folders) and not any(name.lower() in PARTS for name in folders)


def _images_by_class(content: Content) -> list[tuple[str, str]]:
    """Return class folder ('' for none) and path of each image."""
    found = []
    for path in content.tree:
        if looks_like_file(path):
            folders = PurePosixPath(path).parts[:-1]
            start = int(bool(folders) and folders[0].lower() in SPLITS)
            name = folders[start] if len(folders) > start else ''
            found.append((name, path))
    return found


def _read(content: Content, options: ReadOptions) -> LabelFile:
    """Read the class of each image from the folder that it lies in.

    The first folder counts, or the second below one such as ``train``; those
    in it do not. The classes are sorted, as ImageFolder has them.

    Raises:
        ValueError: Folders are called by ids, and these are no classes.
    """
    path = content.path
    pairs = _images_by_class(content)
    names = sorted({name.strip() for name, _ in pairs if name.strip()})
    known = NameIndex(options.classes or ())
    ids = [n for n in names if IDS.match(n) and known.find(n) is None]
    if ids and len(ids) == len(names):
        raise ValueError(
            f'{path}: the folders are called {", ".join(ids[:4])}, which are '
            'ids and no names of classes; rename the folders, or give these '
            'names to --classes if they are right'
        )
    rows = [
        LabelRow('', image, (name.strip(),)) for name, image in pairs if name
    ]
    notes = [
        'the folder of an image is its class: '
        + ', '.join(
            f'{name} {number}'
            for name, number in Counter(n for n, _ in pairs if n).items()
        )
    ]
    loose = [image for name, image in pairs if not name]
    if loose:
        words = counted(len(loose), 'image')
        notes.append(f'{words} in no folder of a class: {loose[0]}')
    folders = defaultdict(set)
    for name, image in pairs:
        folders[PurePosixPath(image).stem].add(name)
    shared = sorted(stem for stem, of in folders.items() if len(of) > 1)
    if shared:
        notes.append(
            f'{counted(len(shared), "file name")} in folders of several '
            f'classes, such as {shared[0]!r}: an image of its own in each'
        )
    return LabelFile(
        str(path),
        FORMAT.title,
        tuple(rows),
        tuple(names),
        tuple(notes),
    )


FORMAT = LabelFormat('image-folder', 'folder for each class', _matches, _read)
