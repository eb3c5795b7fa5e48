"""Toyland as people have their own images: a folder and a table."""

import csv
import io
import json
import shutil
from pathlib import Path

from ..files import write_atomically
from .objects import CLASSES
from .textures import BACKGROUNDS
from .writer import IMAGES, LISTS, MASKS


def write_plain(toyland: str | Path, folder: str | Path) -> None:
    """Copy a toyland into ``photos/``, ``labels.csv`` and so on.

    ``masks/`` has the truth of the validation scenes only, ``classes.yaml``
    the classes in the order of its ids, and words for the background.

    Args:
        toyland: Folder that ``write_toyland`` wrote.
        folder: Where to; what is there is overwritten.
    """
    toyland, folder = Path(toyland), Path(folder)
    known = json.loads((toyland / 'image_labels.json').read_text())['labels']
    val = (toyland / LISTS / 'val.txt').read_text().split()
    for name in ('photos', 'masks'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in known:
        shutil.copy(toyland / IMAGES / f'{name}.jpg', folder / 'photos')
    for name in val:
        shutil.copy(toyland / MASKS / f'{name}.png', folder / 'masks')
    table = io.StringIO(newline='')
    writer = csv.writer(table)
    writer.writerow(['image', 'labels'])
    for name, labels in known.items():
        writer.writerow([f'{name}.jpg', ';'.join(labels)])
    write_atomically(folder / 'labels.csv', table.getvalue().encode())
    lines = ['classes:', *(f'  - {name}' for name in CLASSES)]
    lines += ['background:', *(f'  - {name}' for name in BACKGROUNDS)]
    text = '\n'.join(lines) + '\n'
    write_atomically(folder / 'classes.yaml', text.encode())
