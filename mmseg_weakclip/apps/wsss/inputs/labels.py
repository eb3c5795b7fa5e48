"""Labels of the user, matched to the images and to the classes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.datasets.labels.content import Content, ReadOptions
from mmseg_weakclip.datasets.labels.formats import (
    find_format,
    read_label_file,
)
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.datasets.labels.named_classes import named_classes
from mmseg_weakclip.datasets.labels.records import LabelFile, LabelRow
from mmseg_weakclip.datasets.labels.tables.options import TableOptions

from .classes import ClassList, plain_class


@dataclass(frozen=True)
class Labelling:
    """Classes and labels of a label file.

    Attributes:
        classes: All classes.
        labels: Sorted foreground ids (from 1) by path of the image, without
            images that have no class.
        absent: Images that the file names and that are missing.
        empty: Paths of images that the file names without a class.
        unnamed: Paths of images that the file does not name.
        kind: What the file was read as.
        notes: What was guessed, changed or left out, a sentence each.
        examples: Some images and their names as the file spells them.
    """

    classes: ClassList
    labels: dict[str, tuple[int, ...]]
    absent: list[str]
    empty: list[str]
    unnamed: list[str]
    kind: str
    notes: tuple[str, ...]
    examples: tuple[tuple[str, tuple[str, ...]], ...]


def read_labelling(
    path: Path,
    images: Sequence[str],
    classes: ClassList | None,
    table: TableOptions | None = None,
    format: str = 'auto',
) -> Labelling:
    """Read a label file of any known format.

    Args:
        path: Label file or folder of any format except masks.
        images: Relative paths of the images.
        classes: Known classes; None takes those that the file names, in
            alphabetical order.
        table: What the user says about a table.
        format: Name of the format; 'auto' finds out.

    Raises:
        UserError: The file cannot be read, names unknown classes, labels none
            of the images, or seems to misspell a class.
    """
    finder = ImageFinder(images)
    options = ReadOptions(
        classes=classes.names[1:] if classes else None,
        finder=finder,
        table=table or TableOptions(),
    )
    try:
        return _match(_read(path, options, format), images, finder, classes)
    except (OSError, ValueError) as error:
        raise UserError(' '.join(str(error).split())) from error


def _read(path: Path, options: ReadOptions, format: str) -> LabelFile:
    if not path.exists():
        raise UserError(f'--labels {path} does not exist')
    # Parsed once, even if it is asked for its format first.
    content = Content(path)
    if find_format(content, format).name == 'masks':
        raise UserError(
            f'--labels {path} is a folder of masks, pixel truth that no '
            'training may see; give image labels (weakclip labels derives '
            'them), and masks as --truth'
        )
    return read_label_file(content, options, format)


def _match(
    file: LabelFile,
    images: Sequence[str],
    finder: ImageFinder,
    classes: ClassList | None,
) -> Labelling:
    notes = list(file.notes)
    if classes is None:
        names, more = named_classes(file)
        classes = ClassList(tuple(plain_class(name) for name in names))
        notes += more
    found: dict[str, set[int]] = defaultdict(set)
    absent: dict[str, None] = {}
    ways: Counter[str] = Counter()
    examples: list[tuple[str, tuple[str, ...]]] = []
    for row in file.rows:
        # Unknown names are errors even where the image is missing.
        ids = [_class_id(name, row, file, classes) for name in row.names]
        image = finder.find(row.image, file.where(row), ways)
        if image is None:
            absent[row.image] = None
            continue
        found[image].update(ids)
        if len(examples) < 3 and row.names:
            examples.append((row.image, row.names))
    labels = {
        image: tuple(sorted(found[image]))
        for image in images
        if found.get(image)
    }
    if not labels:
        raise UserError(
            f'{file.source} labels none of the '
            f'{count(len(images), "image")}; it names '
            f'{count(file.images, "image")} (the first: '
            f'{file.rows[0].image if file.rows else "none"}), the images are '
            f'called like {images[0]}'
        )
    for way, number in ways.items():
        notes.append(
            f'{count(number, "name")} matched to an image by ignoring {way}'
        )
    return Labelling(
        classes,
        labels,
        absent=list(absent),
        empty=[i for i in images if i in found and not found[i]],
        unnamed=[image for image in images if image not in found],
        kind=file.kind,
        notes=tuple(notes),
        examples=tuple(examples),
    )


def _class_id(
    name: str, row: LabelRow, file: LabelFile, classes: ClassList
) -> int:
    index = classes.index.find(name)
    if index is not None:
        return index + 1
    nearest = classes.index.nearest(name)
    if nearest:
        hint = f'did you mean {nearest[0]!r}?'
    else:
        hint = f'the classes are {", ".join(classes.names[1:][:10])}'
        if name.isdecimal():
            hint += '; ids of classes are not names: write the names'
    raise UserError(
        f'{file.where(row)}: unknown class {name!r} of image '
        f'{row.image!r}; {hint}'
    )
