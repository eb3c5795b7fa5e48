"""The photos of VOC_animals as a user has them: a folder, tags, masks."""

import json
import shutil
from pathlib import Path

import numpy as np

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.masks import encode_mask, read_mask

# Name -> id in VOC's masks.
CLASSES = {'cat': 8, 'cow': 10, 'dog': 12, 'horse': 13, 'person': 15,
           'sheep': 17}  # fmt: skip
IGNORED = 255


def write_user_data(
    source: Path, folder: Path, limit: int | None = None
) -> list[str]:
    """Write tags, classes, the list of val, and masks of the six classes.

    Pixels of VOC's other classes do not count in the masks. They score, and
    nothing else.

    Args:
        source: Folder of VOC_animals.
        folder: Folder to write.
        limit: Number of photos of each split, copied into the folder; None
            takes all where they are.

    Returns:
        Flags of ``weakclip run``.
    """
    lists = {
        split: (source / f'ImageSets/Segmentation/{split}.txt')
        .read_text()
        .split()[:limit]
        for split in ('train', 'val')
    }
    images, truth = source / 'JPEGImages', folder / 'truth'
    truth.mkdir(parents=True, exist_ok=True)
    table = np.full(256, IGNORED, np.uint8)
    table[[0, *CLASSES.values()]] = range(len(CLASSES) + 1)
    labels = json.loads((source / 'image_labels.json').read_text())
    names = sum(lists.values(), [])
    if limit is not None:
        images = folder / 'photos'
        images.mkdir(parents=True, exist_ok=True)
        for name in names:
            photo = f'{name}.jpg'
            shutil.copy(source / 'JPEGImages' / photo, images / photo)
    rows = ['image,tags']
    for name in names:
        tags = ';'.join(tag for tag in labels[name] if tag in CLASSES)
        rows.append(f'{name}.jpg,{tags}')
        path = truth / f'{name}.png'
        if not path.is_file():
            mask = read_mask(str(source / f'SegmentationClass/{name}.png'))
            write_atomically(path, encode_mask(table[mask], [[0, 0, 0]]))
    files = {
        'tags.csv': rows,
        'classes.txt': CLASSES,
        'val.txt': lists['val'],
    }
    for name, lines in files.items():
        write_atomically(folder / name, '\n'.join([*lines, '']).encode())
    return [
        *('--images', str(images)),
        *('--labels', str(folder / 'tags.csv')),
        *('--classes', str(folder / 'classes.txt')),
        *('--truth', str(truth)),
        *('--val-list', str(folder / 'val.txt')),
    ]
