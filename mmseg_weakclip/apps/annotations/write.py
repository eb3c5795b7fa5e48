"""The files of each format, written from a folder of masks."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.workers import map_in_order, progress_bar
from mmseg_weakclip.datasets.labels.id_lists import read_id_list

from .coco import (
    RegionOptions,
    annotate_instances,
    annotate_panoptic,
    instances_file,
    panoptic_file,
)
from .cvat import cvat_document, cvat_image, cvat_labels
from .label_studio import label_studio_task, labeling_config
from .labelme import labelme_file
from .sources import MaskClasses, MaskSource
from .yolo import yolo_description, yolo_labels

# Name of the format -> file that is written last.
LAST_FILES = {
    'coco-instances': 'annotations/instances.json',
    'coco-panoptic': 'annotations/panoptic.json',
    'yolo-seg': 'data.yaml',
    'cvat': 'annotations.xml',
    'label-studio': 'tasks.json',
    'labelme': 'labels.txt',
}
# Masks per message to a process.
CHUNK = 8


def place_image(source: MaskSource, folder: Path, link: str) -> None:
    """Copy an image into a folder, or link it there."""
    if source.image is None:
        return
    path = folder / source.image.name
    if link == 'copy':
        write_atomically(path, source.image.read_bytes())
    else:
        path.symlink_to(source.image.resolve())


def annotate(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    function: Callable[..., Any],
    classes: MaskClasses,
) -> Iterator[tuple[MaskSource, Any]]:
    """Yield each mask with the result of a function, in order."""
    options = RegionOptions(args.regions, args.min_area, args.segmentation)
    bar = progress_bar('convert masks', len(sources))
    results = map_in_order(
        partial(function, classes=classes, options=options),
        sources,
        args.workers,
        __name__,
        CHUNK,
    )
    try:
        for source, result in zip(sources, results):
            yield source, result
            bar.update()
    finally:
        bar.close()


def export_coco(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    classes: MaskClasses,
) -> None:
    """Write the masks in one of COCO's two formats."""
    last = args.out / LAST_FILES[args.format]
    last.parent.mkdir(parents=True)
    panoptic = args.format == 'coco-panoptic'
    if panoptic:
        last.with_suffix('').mkdir()
    if args.link != 'none':
        (args.out / 'images').mkdir()
    function = annotate_panoptic if panoptic else annotate_instances
    found = []
    for source, annotated in annotate(args, sources, function, classes):
        if args.link != 'none':
            place_image(source, args.out / 'images', args.link)
        if panoptic:
            path = last.with_suffix('') / f'{source.mask.stem}.png'
            write_atomically(path, annotated.picture)
        found.append(annotated.without_picture())
    content = (
        panoptic_file(found, classes, args.regions)
        if panoptic
        else instances_file(found, classes)
    )
    write_atomically(last, json.dumps(content, ensure_ascii=False).encode())


def export_yolo(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    classes: MaskClasses,
) -> None:
    """Write the masks as labels in YOLO's layout."""
    chosen: set[str] = set()
    if args.val:
        chosen = {image.image_id for image in read_id_list(args.val)}
        unknown = sorted(chosen - {source.mask.stem for source in sources})
        if unknown:
            raise ValueError(
                f'{args.val} lists {len(unknown)} ids without a mask, the '
                f'first is {unknown[0]!r}'
            )
    splits = ('train', 'val') if chosen else ('train',)
    for split in splits:
        for folder in ('labels', 'images'):
            (args.out / folder / split).mkdir(parents=True)
    for source, text in annotate(args, sources, yolo_labels, classes):
        split = 'val' if source.mask.stem in chosen else 'train'
        path = args.out / 'labels' / split / f'{source.mask.stem}.txt'
        write_atomically(path, text.encode())
        if args.link != 'none':
            place_image(source, args.out / 'images' / split, args.link)
    content = yolo_description(
        classes, dict(train='images/train', val=f'images/{splits[-1]}')
    )
    write_atomically(args.out / LAST_FILES[args.format], content.encode())


def export_cvat(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    classes: MaskClasses,
) -> None:
    """Write the masks as CVAT's XML, with the labels of the task."""
    place = _image_folder(args, 'images')
    images = []
    for source, image in annotate(args, sources, cvat_image, classes):
        place(source)
        images.append(image)
    labels = cvat_labels(classes)
    write_atomically(args.out / 'cvat_labels.json', labels.encode())
    content = cvat_document(images, classes)
    write_atomically(args.out / LAST_FILES[args.format], content.encode())


def export_label_studio(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    classes: MaskClasses,
) -> None:
    """Write the masks as predictions for Label Studio, with its config."""
    place = _image_folder(args, 'images')
    function = partial(label_studio_task, image_url=args.image_url)
    tasks = []
    for source, task in annotate(args, sources, function, classes):
        place(source)
        tasks.append(task)
    config = labeling_config(classes, args.segmentation)
    write_atomically(args.out / 'labeling_config.xml', config.encode())
    content = json.dumps(tasks, ensure_ascii=False)
    write_atomically(args.out / LAST_FILES[args.format], content.encode())


def export_labelme(
    args: argparse.Namespace,
    sources: Sequence[MaskSource],
    classes: MaskClasses,
) -> None:
    """Write the masks as labelme's files, with the images beside them."""
    place = _image_folder(args, '.')
    for source, content in annotate(args, sources, labelme_file, classes):
        place(source)
        text = json.dumps(content, ensure_ascii=False, indent=1)
        path = args.out / f'{source.mask.stem}.json'
        write_atomically(path, text.encode())
    names = ''.join(f'{name}\n' for name in classes.names)
    write_atomically(args.out / LAST_FILES[args.format], names.encode())


def _image_folder(
    args: argparse.Namespace, name: str
) -> Callable[[MaskSource], None]:
    """Make the folders, and return a function that places an image."""
    args.out.mkdir(parents=True, exist_ok=True)
    if args.link == 'none':
        return lambda source: None
    (args.out / name).mkdir(exist_ok=True)
    return partial(place_image, folder=args.out / name, link=args.link)


EXPORTS: dict[str, Callable[..., None]] = {
    'coco-instances': export_coco,
    'coco-panoptic': export_coco,
    'yolo-seg': export_yolo,
    'cvat': export_cvat,
    'label-studio': export_label_studio,
    'labelme': export_labelme,
}
