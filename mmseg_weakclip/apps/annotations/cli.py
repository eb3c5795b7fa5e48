r"""Write a folder of masks in the format of another tool.

    python tools/export_masks.py data/mine/masks data/mine/coco \
        --format coco-instances --config configs/my_weakclip.py \
        --images data/mine/images

MASKS holds PNGs with a class id per pixel, as PseudoMaskWriter leaves them.
Background and ignored pixels (255) are left out. OUT gets these files; a
folder without the last one, which is written last, is incomplete:

  coco-instances  annotations/instances.json
  coco-panoptic   annotations/panoptic/*.png, annotations/panoptic.json
  yolo-seg        labels/train/*.txt (labels/val with --val), data.yaml

and, with --link, the images beside them. An object is a set of pixels of one
class that touch, at corners too; --regions class makes one object of all
pixels of a class instead (not for yolo-seg, where a ring is an object).
Polygons run along the edges of pixels and lose nothing; holes are joined to
the outer ring by bridges without area.

Exits with 2 if a mask is damaged, has unknown ids, or has no image.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.files import write_atomically
from mmseg_weakclip.common.names import read_vocabulary
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.common.workers import map_in_order, progress_bar
from mmseg_weakclip.datasets.configs import config_metainfo
from mmseg_weakclip.datasets.labels.id_lists import read_id_list

from .coco import (
    SEGMENTATIONS,
    RegionOptions,
    annotate_instances,
    annotate_panoptic,
    instances_file,
    mask_library,
    panoptic_file,
)
from .regions import UNITS
from .sources import MaskClasses, MaskSource, find_sources
from .yolo import yolo_description, yolo_labels

LAST_FILES = {
    'coco-instances': 'annotations/instances.json',
    'coco-panoptic': 'annotations/panoptic.json',
    'yolo-seg': 'data.yaml',
}
# Masks per message to a process.
CHUNK = 8


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('masks', type=Path, metavar='MASKS')
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument('--format', required=True, choices=LAST_FILES)
    classes = parser.add_mutually_exclusive_group(required=True)
    classes.add_argument(
        '--config', help='config whose data set names the classes'
    )
    classes.add_argument(
        '--classes',
        metavar='FILE',
        help='names of the classes 1, 2, ..., a line each; 0 is the '
        'background',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images; sizes and file names are checked; '
        'without, they are called <id>.jpg',
    )
    parser.add_argument(
        '--link',
        choices=('copy', 'symlink', 'none'),
        default='none',
        help='put the images into OUT/images (default: %(default)s)',
    )
    parser.add_argument(
        '--min-area',
        type=int,
        default=1,
        metavar='N',
        help='leave out objects of fewer pixels (default: %(default)s)',
    )
    parser.add_argument(
        '--regions',
        choices=UNITS,
        default='component',
        help='what an object is (default: %(default)s)',
    )
    parser.add_argument(
        '--segmentation',
        choices=SEGMENTATIONS,
        default='polygons',
        help='how coco-instances has them (default: %(default)s)',
    )
    parser.add_argument(
        '--val',
        metavar='FILE',
        help='list of ids that are for validation (yolo-seg)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 0,
        help='processes; 0 works in the main one',
    )
    args = parser.parse_args(argv)
    is_yolo = args.format == 'yolo-seg'
    if args.link != 'none' and args.images is None:
        parser.error('--link needs --images')
    if args.val and not is_yolo:
        parser.error('--val needs --format yolo-seg')
    if is_yolo and args.regions != 'component':
        parser.error('--format yolo-seg needs --regions component')
    if args.out.is_dir() and any(args.out.iterdir()):
        last = LAST_FILES[args.format]
        state = 'with' if (args.out / last).exists() else 'but without'
        parser.error(
            f'{args.out} already holds files, {state} {last}; remove it or '
            'choose another folder'
        )
    return args


def _read_classes(args: argparse.Namespace) -> MaskClasses:
    """Return the classes of a config, or of a file of names."""
    if args.config is None:
        return MaskClasses(read_vocabulary(args.classes), 1)
    meta = config_metainfo(read_config(args.config))
    if meta is None:
        raise ValueError(f'no data set of {args.config} names classes')
    return MaskClasses.of(meta['classes'])


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


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    export = export_yolo if args.format == 'yolo-seg' else export_coco
    try:
        if args.segmentation == 'compressed-rle':
            mask_library()
        classes = _read_classes(args)
        sources = find_sources(args.masks, args.images)
        export(args, sources, classes)
    except (OSError, ImportError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{len(sources)} masks in {args.out / LAST_FILES[args.format]}')
    if args.format == 'yolo-seg' and args.link == 'none':
        print(f'put the images into {args.out / "images"}, or use --link')
    return 0
