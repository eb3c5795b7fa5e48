r"""Write image-level labels as JSON, from any of the formats of the field.

The output is what LoadImageLabels reads:

    {"classes": ["aeroplane", ...], "labels": {"2007_000032": ["aeroplane"]}}

Examples:
    python tools/dataset_converters/image_labels.py cls_labels.npy \
        --classes voc --out data/voc_labels.json
    python tools/dataset_converters/image_labels.py VOC2012/Annotations \
        --classes voc --ids ImageSets/Segmentation/trainaug.txt --out a.json
    python tools/dataset_converters/image_labels.py instances_train2014.json \
        --classes coco --out data/coco_labels.json
    python tools/dataset_converters/image_labels.py my_tags.csv \
        --classes cat,dog,bird --out my_labels.json
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmseg_weakclip.common.names import VOCABULARIES, read_vocabulary
from mmseg_weakclip.common.workers import progress_bar
from mmseg_weakclip.datasets.labels.content import ReadOptions
from mmseg_weakclip.datasets.labels.formats import (
    FORMAT_NAMES,
    read_label_file,
)
from mmseg_weakclip.datasets.labels.id_lists import read_id_list
from mmseg_weakclip.datasets.labels.image_labels import ImageLabels
from mmseg_weakclip.datasets.labels.matching import (
    ImageFinder,
    looks_like_file,
)
from mmseg_weakclip.datasets.labels.named_classes import named_classes
from mmseg_weakclip.datasets.labels.records import to_image_labels
from mmseg_weakclip.datasets.labels.tables.options import (
    add_table_options,
    parse_table_options,
)


def show_progress(files: Sequence[Path]) -> Iterable[Path]:
    """Return files behind a progress bar."""
    return progress_bar('read labels', len(files), files)


def _parse_args(
    argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', help='label file, or folder of files')
    parser.add_argument(
        '--format', choices=('auto', *FORMAT_NAMES), default='auto'
    )
    parser.add_argument(
        '--classes',
        help=f'{", ".join(VOCABULARIES)}, a file with a name per line, or '
        "names separated by commas; default: the source's own, or what it "
        'names',
    )
    parser.add_argument(
        '-o', '--out', required=True, help='JSON file to write'
    )
    parser.add_argument(
        '--images',
        metavar='DIR',
        help='folder of the images, which tells what names them',
    )
    parser.add_argument('--ids', help='keep the images of this list only')
    add_table_options(parser.add_argument_group('tables'))
    parser.add_argument(
        '--no-difficult',
        action='store_true',
        help="voc-xml: leave objects marked as 'difficult' out",
    )
    parser.add_argument(
        '--no-crowd',
        action='store_true',
        help='coco-json: leave crowd regions out',
    )
    parser.add_argument(
        '--min-pixels',
        type=int,
        default=1,
        help='masks: least area of a class that counts',
    )
    return parser.parse_args(argv)


def reader_options(
    args: argparse.Namespace, ids: list[str] | None
) -> ReadOptions:
    """Return how the labels are to be read."""
    classes = read_vocabulary(args.classes) if args.classes else None
    finder = None
    if args.images:
        folder = Path(args.images)
        paths = (
            path for path in folder.rglob('*') if looks_like_file(str(path))
        )
        finder = ImageFinder(p.relative_to(folder).as_posix() for p in paths)
    return ReadOptions(
        classes=classes,
        finder=finder,
        table=parse_table_options(
            args.image_column,
            args.label_columns,
            args.delimiter,
            args.separator,
            args.layout,
        ),
        ids=ids,
        track=show_progress,
        difficult=not args.no_difficult,
        crowd=not args.no_crowd,
        min_pixels=args.min_pixels,
    )


def convert(args: argparse.Namespace) -> ImageLabels:
    """Read the labels, restrict them to the list, and write them."""
    ids = None
    if args.ids:
        ids = list(
            dict.fromkeys(image.image_id for image in read_id_list(args.ids))
        )
    options = reader_options(args, ids)
    file = read_label_file(args.source, options, args.format)
    print_log(f'read as {file.kind}: {file.images} images')
    notes = list(file.notes)
    classes = options.classes
    if classes is None:
        classes, more = named_classes(file)
        notes += more
    for note in notes:
        print_log(f'  {note}')
    labels = to_image_labels(file, classes)
    if ids is not None:
        labels = labels.subset(ids)
    labels.save(args.out)
    return labels


def _describe(labels: ImageLabels) -> str:
    """Return the number of images per class and without labels, as text."""
    empty = sum(not indices for indices in labels.labels.values())
    rows = [f'  {name:20} {n:8}' for name, n in labels.counts().items()]
    return '\n'.join(
        [
            f'{len(labels)} images, {empty} of them without any label; '
            'images per class:',
            *rows,
        ]
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command; see ``--help``."""
    args = _parse_args(argv, prog)
    try:
        labels = convert(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print_log(_describe(labels))
    print_log(f'Written to {args.out}.')
