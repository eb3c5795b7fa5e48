"""Choice of the column that names the images of a table.

The column decides whose values name the most images that are there. Words of
the header settle what is left; what they do not settle is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg_weakclip.datasets.labels.matching import looks_like_file

from .flags import describe_values
from .table import Table, given_column, word_of

# Words for images that nothing else is called by, then words that may also be
# a running number or the name of something else.
IMAGE_WORDS = {'image', 'images', 'imageid', 'img', 'imgid', 'imgname',
               'imagename', 'imagefile', 'imagepath', 'imageurl', 'imgpath',
               'imgfile', 'file', 'filename', 'filepath', 'path', 'photo',
               'photos', 'picture', 'filenames'}  # fmt: skip
WEAK_IMAGE_WORDS = {'id', 'name', 'url', 'key'}


@dataclass(frozen=True)
class _Candidate:
    column: int
    whole: int
    matched: int
    images: int
    paths: tuple[str | None, ...]
    strong: bool
    weak: bool


def _candidate(table: Table, column: int) -> _Candidate:
    finder = table.finder
    known: dict[str, tuple[str | None, bool]] = {}
    for cell in table.cells(column, 0):
        if cell in known:
            continue
        if not cell:
            known[cell] = None, False
        elif finder is None:
            is_file = looks_like_file(cell)
            known[cell] = (cell if is_file else None), is_file
        else:
            match = finder.match(cell)
            known[cell] = (
                (match.paths[0], match.whole) if match else (None, False)
            )
    found = [known[cell] for cell in table.cells(column, 0)]
    word = word_of(table.rows[0][1][column])
    return _Candidate(
        column,
        whole=sum(whole for _, whole in found),
        matched=sum(path is not None for path, _ in found),
        images=len({path for path, _ in found if path is not None}),
        paths=tuple(path for path, _ in found),
        strong=word in IMAGE_WORDS,
        weak=word in WEAK_IMAGE_WORDS,
    )


def choose_image_column(table: Table) -> tuple[int, list[str]]:
    """Return the column of images, and what there is to say about it.

    Args:
        table: Rows of the table.

    Raises:
        ValueError: No column, or several different ones, may name images.
    """
    given = table.options.image_column
    if given is not None:
        return given_column(table, given, '--image-column'), []
    if table.width < 2:
        raise ValueError(
            f'{table.source} has a single column; expected images and labels, '
            'such as "image,labels". Is another sign between the columns '
            '(--delimiter)?'
        )
    candidates = [_candidate(table, i) for i in range(table.width)]
    matching = [c for c in candidates if c.matched]
    if not matching:
        return _image_by_word(table, candidates), []
    best = max(
        matching,
        key=lambda c: (c.whole, c.images, c.strong, c.weak, -c.column),
    )
    notes = []
    for other in matching:
        if other is best or not _disagree(best, other):
            continue
        if best.whole >= max(1, best.matched // 2) and not other.whole:
            reason = 'holds whole file names'
        elif 2 * other.images <= best.images:
            continue
        elif best.strong and not other.strong:
            reason = 'is called like it'
        else:
            raise ValueError(
                f'{table.source}: the columns {table.name(best.column)} and '
                f'{table.name(other.column)} both name images that are there, '
                f'{best.images} and {other.images}, and not the same in one '
                'row; say which by --image-column'
            )
        notes.append(
            f'column {table.name(best.column)} names the images, since it '
            f'{reason}, not {table.name(other.column)}'
        )
    return best.column, notes


def _disagree(one: _Candidate, other: _Candidate) -> bool:
    return any(
        a is not None and b is not None and a != b
        for a, b in zip(one.paths, other.paths)
    )


def _image_by_word(table: Table, candidates: Sequence[_Candidate]) -> int:
    """Return the column of images where no value is known as one."""
    strong = [c.column for c in candidates if c.strong]
    named = strong or [c.column for c in candidates if c.weak]
    # A class may be called like a header.
    free = [i for i in named if table.index.find(table.rows[0][1][i]) is None]
    if len(free) == 1:
        return free[0]
    if not free and (table.width == 2 or _is_one_hot_behind(table)):
        return 0
    listed = ', '.join(
        f'{table.name(c.column)} with '
        + '/'.join(repr(v) for v in table.cells(c.column)[:2])
        for c in candidates[:6]
    )
    raise ValueError(
        f'{table.source}, line {table.rows[0][0]}: no column is known to hold '
        f"images; the columns are {listed}. Call it 'image', or say which "
        'by --image-column'
    )


def _is_one_hot_behind(table: Table) -> bool:
    """Return whether all columns but the first hold flags below a header."""
    return len(table.rows) > 1 and all(
        describe_values(table.cells(i)).kind == 'flags'
        for i in range(1, table.width)
    )
