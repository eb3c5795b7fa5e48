"""Labels of the user, matched to the images and to the classes."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg_weakclip.apps.errors import UserError, count
from mmseg_weakclip.common.names import BACKGROUND, name_key
from mmseg_weakclip.datasets.labels.formats import (
    detect_format,
    read_image_labels,
)
from mmseg_weakclip.datasets.labels.tables import LabelRow, read_label_table

from .classes import ClassList, plain_class
from .images import ImageFinder

# A rare name is taken for a misspelling of a similar one that is this many
# times as frequent.
SLIP_RATIO = 10
SLIP_AT_MOST = 2
SLIP_LIKENESS = 0.8


@dataclass(frozen=True)
class Labelling:
    """Classes and labels of a label file.

    Attributes:
        classes: All classes.
        labels: Sorted foreground ids (from 1) by path of the image, without
            images that have no class.
        absent: Images that the file names and that are missing.
        empty: Paths of images that the file names without a class.
    """

    classes: ClassList
    labels: dict[str, tuple[int, ...]]
    absent: list[str]
    empty: list[str]


def read_labelling(
    path: Path, images: Sequence[str], classes: ClassList | None
) -> Labelling:
    """Read a label file of any known format.

    Args:
        path: CSV, or a format of ``read_image_labels`` except masks.
        images: Relative paths of the images.
        classes: Known classes; None takes those that the file names, in
            alphabetical order.

    Raises:
        UserError: The file cannot be read, names unknown classes, labels none
            of the images, or seems to misspell a class.
    """
    try:
        rows, columns = _read_rows(path, classes)
    except (OSError, ValueError) as error:
        raise UserError(' '.join(str(error).split())) from error
    if classes is None:
        classes = _classes_of(path, rows, columns)
    found: dict[str, set[int]] = defaultdict(set)
    absent = []
    finder = ImageFinder(images)
    for row in rows:
        # Unknown names are errors even where the image is missing.
        ids = [_class_id(name, row, path, classes) for name in row.names]
        image = finder.find(row.image, _where(path, row))
        if image is None:
            absent.append(row.image)
        else:
            found[image].update(ids)
    labels = {
        image: tuple(sorted(found[image])) for image in images if found[image]
    }
    if not labels:
        raise UserError(
            f'{path} labels none of the {count(len(images), "image")}; '
            f'it names {count(len(rows), "image")} (the first: '
            f'{rows[0].image}), the images are called like {images[0]}'
        )
    empty = [image for image in images if image in found and not found[image]]
    return Labelling(classes, labels, absent, empty)


def _read_rows(
    path: Path, classes: ClassList | None
) -> tuple[list[LabelRow], Sequence[str] | None]:
    """Return all lines, and the classes that the file itself lists."""
    if not path.exists():
        raise UserError(f'--labels {path} does not exist')
    kind = detect_format(path)
    if kind == 'masks':
        raise UserError(
            f'--labels {path} is a folder of masks, pixel truth that no '
            'training may see; give image labels (tools/dataset_converters/'
            'image_labels.py derives them), and masks as --truth'
        )
    names = classes.names[1:] if classes else None
    if kind == 'csv':
        table = read_label_table(path, names or ())
        return table.rows, table.columns
    read = read_image_labels(path, names)
    rows = [
        LabelRow(0, image_id, read.names(image_id)) for image_id in read.labels
    ]
    return rows, read.classes


def _where(path: Path, row: LabelRow) -> str:
    return f'{path}, line {row.line}' if row.line else str(path)


def _class_id(name: str, row: LabelRow, path: Path, classes: ClassList) -> int:
    index = classes.index.find(name)
    if index is not None:
        return index + 1
    nearest = classes.index.nearest(name)
    if name.casefold() == BACKGROUND:
        hint = 'the background is not a label; leave the cell empty'
    elif nearest:
        hint = f'did you mean {nearest[0]!r}?'
    else:
        hint = f'the classes are {", ".join(classes.names[1:][:10])}'
    raise UserError(
        f'{_where(path, row)}: unknown class {name!r} of image '
        f'{row.image!r}; {hint}'
    )


def _classes_of(
    path: Path, rows: Sequence[LabelRow], columns: Sequence[str] | None
) -> ClassList:
    """Return the classes that a file names, unless one seems misspelt."""
    spellings: dict[str, Counter] = defaultdict(Counter)
    lines: dict[str, LabelRow] = {}
    for row in rows:
        for name in row.names:
            key = name_key(name)
            spellings[key][name] += 1
            lines.setdefault(key, row)
    if columns is not None:
        return ClassList(tuple(plain_class(name) for name in columns))
    if not spellings:
        raise UserError(f'{path} names no class')
    if BACKGROUND in spellings:
        row = lines[BACKGROUND]
        raise UserError(
            f'{_where(path, row)}: the background is not a label; leave the '
            'cell empty'
        )
    totals = {key: names.total() for key, names in spellings.items()}
    for key, total in totals.items():
        frequent = [
            other
            for other, number in totals.items()
            if total <= SLIP_AT_MOST and number >= SLIP_RATIO * total
        ]
        near = difflib.get_close_matches(key, frequent, 1, SLIP_LIKENESS)
        if near:
            right = spellings[near[0]].most_common(1)[0][0]
            wrong = spellings[key].most_common(1)[0][0]
            raise UserError(
                f'{_where(path, lines[key])}: {wrong!r} appears '
                f'{count(total, "time")}, {right!r} {totals[near[0]]} times; '
                f'correct it, or list both classes with --classes'
            )
    names = sorted(
        (names.most_common(1)[0][0] for names in spellings.values()),
        key=str.casefold,
    )
    return ClassList(tuple(plain_class(name) for name in names))
