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
  cvat            cvat_labels.json (of the task), annotations.xml
  label-studio    labeling_config.xml (of the project), tasks.json
  labelme         *.json, labels.txt

and, with --link, the images beside them. The last three are for annotators,
who correct them: in CVAT upload "CVAT 1.1" to a task with the same images, in
Label Studio import the tasks (as predictions, with scores if MASKS has
stored maps in scores/), and open OUT with labelme --labels labels.txt.
Roboflow imports coco-instances. An object is a set of pixels of one
class that touch, at corners too; --regions class makes one object of all
pixels of a class instead (not for yolo-seg, where a ring is an object).
Polygons run along the edges of pixels and lose nothing; holes are joined to
the outer ring by bridges without area.

Exits with 2 if a mask is damaged, has unknown ids, or has no image.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg_weakclip.parts  # noqa: F401  (registers every class)
from mmseg_weakclip.common.names import read_vocabulary
from mmseg_weakclip.common.resources import read_config
from mmseg_weakclip.datasets.configs import config_metainfo

from .coco import SEGMENTATIONS
from .regions import UNITS
from .sources import MaskClasses, find_sources
from .write import EXPORTS, LAST_FILES

# How objects may be written; the first is the default.
CHOICES = {
    'coco-instances': SEGMENTATIONS,
    'cvat': ('polygons', 'rle'),
    'label-studio': ('polygons', 'rle'),
}
LOCAL_FILES = '/data/local-files/?d='


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
        help='how coco-instances has them; for cvat and label-studio polygons '
        'or rle, masks of a brush (default: %(default)s)',
    )
    parser.add_argument(
        '--image-url',
        metavar='TEXT',
        default=LOCAL_FILES,
        help="label-studio: what stands in front of the images' file names, "
        'such as s3://bucket/ (default: %(default)s)',
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
    allowed = CHOICES.get(args.format, SEGMENTATIONS[:1])
    if args.segmentation not in allowed:
        parser.error(
            f'--format {args.format} has no --segmentation '
            f'{args.segmentation}; give {" or ".join(allowed)}'
        )
    if args.image_url != LOCAL_FILES and args.format != 'label-studio':
        parser.error('--image-url needs --format label-studio')
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


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    try:
        classes = _read_classes(args)
        sources = find_sources(args.masks, args.images)
        EXPORTS[args.format](args, sources, classes)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{len(sources)} masks in {args.out / LAST_FILES[args.format]}')
    if args.format == 'yolo-seg' and args.link == 'none':
        print(f'put the images into {args.out / "images"}, or use --link')
    return 0
