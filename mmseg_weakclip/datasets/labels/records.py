"""What every reader of label files returns: rows of an image and its names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmseg_weakclip.common.names import BACKGROUND, NameIndex, name_key

from .cells import is_syntax
from .image_labels import (
    ImageLabels,
    LabelCollector,
    canonical_image_id,
)

# Words that people and programs write where an image shows nothing.
NOTHING = frozenset(
    name_key(word)
    for word in (
        'nan', 'n/a', 'na', '#n/a', 'none', 'null', 'nil', 'nothing', 'empty',
        'no label', 'no labels', 'no tag', 'no tags', 'no class', 'no object',
        'unlabeled', 'unlabelled', 'untagged', '?', '-', '--', '.', '(none)',
        '<none>', '<na>', 'undefined', BACKGROUND,
    )
)  # fmt: skip


@dataclass(frozen=True)
class LabelRow:
    """One entry of a label file.

    Attributes:
        place: Place in the file for messages, e.g. 'line 3'; '' if the image
            is enough.
        image: Image as the file names it.
        names: Class names as the file spells them.
    """

    place: str
    image: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class LabelFile:
    """Content of a label file of any format.

    Attributes:
        source: Path of the file or folder.
        kind: What it was read as, e.g. 'CVAT XML'.
        rows: Entries of the file; an image may have several, which add up.
        classes: Foreground classes in the file's own order; None if the file
            has no list of them.
        notes: What was guessed, changed or left out, a sentence each.
    """

    source: str
    kind: str
    rows: tuple[LabelRow, ...]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def where(self, row: LabelRow) -> str:
        """Return file and place of a row, for messages."""
        return f'{self.source}, {row.place}' if row.place else self.source

    @property
    def images(self) -> int:
        """Number of images that the file names."""
        return len({row.image for row in self.rows})


def clean_names(file: LabelFile, classes: Sequence[str] = ()) -> LabelFile:
    """Leave out words for "nothing", and refuse names that are syntax.

    A word of the class list stays a class. What is left out is counted in
    the notes.

    Args:
        file: Label file.
        classes: Known foreground classes.

    Raises:
        ValueError: A name looks like a part of some syntax, such as ``[cat``.
    """
    index = NameIndex(classes)
    dropped: Counter[str] = Counter()

    def keep(name: str) -> bool:
        if index.find(name) is None and name_key(name) in NOTHING:
            dropped[name] += 1
            return False
        return True

    rows = []
    for row in file.rows:
        names = tuple(name for name in row.names if keep(name))
        for name in names:
            if index.find(name) is None and is_syntax(name):
                raise ValueError(
                    f'{file.where(row)}: the class name {name!r} of image '
                    f'{row.image!r} looks like a piece of syntax; correct the '
                    'cell, or give the class list'
                )
        rows.append(replace(row, names=names))
    own = file.classes
    if own is not None:
        own = tuple(name for name in own if keep(name))
        for name in own:
            if index.find(name) is None and is_syntax(name):
                raise ValueError(
                    f'{file.source}: the class name {name!r} looks like a '
                    'piece of syntax'
                )
    notes = file.notes
    if dropped:
        words = ', '.join(f'{word!r} ({n}x)' for word, n in dropped.items())
        notes = (*notes, f'read as no label: {words}')
    return replace(file, rows=tuple(rows), classes=own, notes=notes)


def _check_folder(
    file: LabelFile, row: LabelRow, places: dict[str, str]
) -> None:
    """Check that no two images differ in their folders alone.

    Args:
        file: Label file.
        row: Row of the image.
        places: Folder and name of the images before, by id; is added to.

    Raises:
        ValueError: Two do, and would get the same id.
    """
    name = row.image.strip().replace('\\', '/')
    folder = name.rpartition('/')[0]
    if not folder or '://' in folder:
        return
    key = canonical_image_id(name)
    other = places.setdefault(key, name)
    if other.rpartition('/')[0] != folder:
        raise ValueError(
            f'{file.where(row)}: {other} and {name} have the same id {key!r}, '
            'since ids leave folders out; rename the images, or use `weakclip '
            'run`, which tells them apart'
        )


def to_image_labels(
    file: LabelFile, classes: Sequence[str] | None = None
) -> ImageLabels:
    """Return the labels over a list of classes.

    Args:
        file: Label file.
        classes: Class names, with or without the background in front; None
            takes the file's own.

    Raises:
        ValueError: There is no class list, names are unknown, or two images
            differ in their folders alone.
    """
    if classes is None:
        classes = file.classes
    if classes is None:
        raise ValueError(
            f'{file.source} does not say which classes there are: give the '
            'class list (--classes of the tool).'
        )
    collector = LabelCollector(file.source, classes)
    found: dict[str, list[int]] = {}
    places: dict[str, str] = {}
    for row in file.rows:
        _check_folder(file, row, places)
        ids = [
            collector.find(name, row.image, row.place) for name in row.names
        ]
        # "a.jpg" and "a" are one image.
        found.setdefault(canonical_image_id(row.image), []).extend(ids)
    for image, ids in found.items():
        collector.add(image, ids)
    return collector.result()
