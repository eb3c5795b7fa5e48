"""Toyland on disk: in the layout of PASCAL VOC, or as a user's photos.

``write_toyland`` draws the data set, ``write_plain`` copies one into folders
and tables as users of ``weakclip run`` have them.
"""

import csv
import io
import json
import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.masks import encode_mask, label_colors
from mmseg_weakclip.common.workers import map_in_order, progress_bar

from .captions import scene_tags, write_caption
from .objects import CLASSES
from .scenes import SceneStyle, make_scene
from .textures import BACKGROUNDS

IMAGES, MASKS = 'JPEGImages', 'SegmentationClass'
LISTS = 'ImageSets/Segmentation'
SETTINGS = 'toyland.json'
# Beyond the seeds of tools/toyland, so that CLIP has not seen these scenes.
FIRST_SEED = 1000


def image_id(split: str, index: int) -> str:
    """Return the id of a scene's image."""
    return f'{split}_{index:05d}'


def scene_seed(split: str, seed: int) -> int:
    """Return the seed of the scenes of a split.

    It does not depend on their numbers, so that more scenes for training
    leave those for validation as they are.
    """
    return FIRST_SEED + 2 * seed + (split == 'val')


def write_scene(
    item: tuple[str, int, int], root: Path, size: int, style: SceneStyle
) -> dict:
    """Draw one scene and write its image and mask.

    Args:
        item: Split, seed and index of the scene.
        root: Folder of the data set.
        size: Side of the image in pixels.
        style: Composition of the scene.

    Returns:
        ``id`` of the image, ``labels`` (class names) and ``caption``.
    """
    split, seed, index = item
    scene = make_scene(seed, index, size, style)
    name = image_id(split, index)
    Image.fromarray(scene.image).save(
        root / IMAGES / f'{name}.jpg', quality=95, subsampling=0
    )
    (root / MASKS / f'{name}.png').write_bytes(
        encode_mask(scene.mask, label_colors(len(CLASSES) + 1))
    )
    rng = np.random.default_rng((seed, index, 1))
    return dict(
        id=name,
        labels=[CLASSES[label] for label in scene.labels],
        caption=write_caption(scene_tags(scene), rng).text,
    )


def write_toyland(
    root: str | Path,
    train: int = 2000,
    val: int = 300,
    size: int = 96,
    seed: int = 0,
    style: SceneStyle | None = None,
    workers: int | None = None,
) -> bool:
    """Write the data set unless it exists.

    The folder gets its name only when it is complete.

    Args:
        root: Folder of the data set.
        train: Number of training scenes.
        val: Number of validation scenes.
        size: Side of the images in pixels.
        seed: Seed of scenes and captions.
        style: Composition of the scenes.
        workers: Number of processes; None takes one per processor.

    Returns:
        Whether the data set was written.

    Raises:
        ValueError: The folder exists, but holds something else.
    """
    root, style = Path(root), style or SceneStyle()
    settings = json.loads(
        json.dumps(
            dict(
                train=train, val=val, size=size, seed=seed, style=asdict(style)
            )
        )
    )
    if root.exists():
        path = root / SETTINGS
        found = json.loads(path.read_text()) if path.is_file() else None
        if found == settings:
            return False
        raise ValueError(
            f'{root} is there, but not as asked for ({found} instead of '
            f'{settings}); choose another folder or remove it'
        )
    part = root.with_name(f'{root.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    for folder in (IMAGES, MASKS, LISTS):
        (part / folder).mkdir(parents=True)
    items = [
        (split, scene_seed(split, seed), i)
        for split, count in (('train', train), ('val', val))
        for i in range(count)
    ]
    records = _run(
        partial(write_scene, root=part, size=size, style=style),
        items,
        workers or os.cpu_count() or 1,
    )
    labels = {record['id']: record['labels'] for record in records}
    captions = {record['id']: record['caption'] for record in records}
    for split in ('train', 'val'):
        names = [name for name in labels if name.startswith(split)]
        (part / LISTS / f'{split}.txt').write_text('\n'.join(names) + '\n')
    for name, content in (
        ('image_labels.json', dict(classes=CLASSES, labels=labels)),
        ('captions.json', captions),
        (SETTINGS, settings),
    ):
        (part / name).write_text(json.dumps(content, indent=1))
    os.replace(part, root)
    return True


def _run(function, items: list, workers: int) -> list[dict]:
    """Run a function on all items in processes, with a progress bar."""
    records = map_in_order(function, items, workers, __name__, chunk=32)
    return list(progress_bar('draw scenes', len(items), records))


def write_plain(toyland: str | Path, folder: str | Path) -> None:
    """Copy a toyland into ``photos/``, ``labels.csv`` and so on.

    ``masks/`` has the truth of the validation scenes only, ``classes.yaml``
    the classes in the order of its ids, and words for the background.

    Args:
        toyland: Folder that ``write_toyland`` wrote.
        folder: Folder to write to; existing files are overwritten.
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
