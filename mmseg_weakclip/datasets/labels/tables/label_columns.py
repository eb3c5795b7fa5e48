"""Choice of the columns that hold the labels of a table.

Words of the header come first, then known classes, then the kind of values in
each column. What these do not settle is an error that shows the candidates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .flags import Values, describe_values
from .table import Table, given_column, word_of

LABEL_WORDS = {'label', 'labels', 'class', 'classes', 'classname',
               'classnames', 'category', 'categories', 'categoryname', 'tag',
               'tags', 'labelname', 'labelnames', 'choice', 'choices',
               'keywords'}  # fmt: skip
# Words for what is about the image and is no class of it.
OTHER_WORDS = {'', 'width', 'height', 'w', 'h', 'x', 'y', 'xmin', 'ymin',
               'xmax', 'ymax', 'x1', 'y1', 'x2', 'y2', 'left', 'top', 'depth',
               'split', 'subset', 'set', 'fold', 'partition', 'usage', 'id',
               'index', 'idx', 'nr', 'no', 'number', 'row', 'rowid', 'size',
               'filesize', 'bytes', 'source', 'author', 'photographer',
               'annotator', 'annotationid', 'user', 'date', 'time',
               'timestamp', 'createdat', 'updatedat', 'leadtime',
               'confidence', 'conf', 'prob', 'iou', 'score',
               'probability', 'weight', 'verified',
               'reviewed', 'difficult', 'truncated', 'occluded', 'isoccluded',
               'istruncated', 'isgroupof', 'isdepiction', 'isinside',
               'isvalid', 'istrain', 'istest', 'isval', 'train', 'test',
               'val', 'valid', 'latitude', 'longitude', 'lat', 'lon',
               'altitude', 'comment', 'comments', 'note', 'notes', 'remarks',
               'description', 'caption', 'title', 'license', 'licence',
               'hash', 'md5', 'sha1', 'sha256', 'url', 'location', 'place',
               'project', 'batch', 'status', 'count', 'views',
               'rating'}  # fmt: skip

# Those that are no class even where 0 and 1 stand below them.
NEVER_CLASSES = {'', 'id', 'index', 'idx', 'rowid', 'split', 'subset', 'fold',
                 'partition'}  # fmt: skip


@dataclass(frozen=True)
class LabelColumns:
    """Columns of labels; see :class:`Columns`."""

    labels: tuple[int, ...]
    one_hot: bool
    notes: tuple[str, ...] = ()


def choose_label_columns(
    table: Table, image: int, *, header: bool
) -> LabelColumns:
    """Return the columns of labels.

    Args:
        table: Rows of the table.
        image: Position of the column of images.
        header: Whether the first row names the columns.

    Raises:
        ValueError: The columns are ambiguous, or hold other values than
            their layout.
    """
    start = int(header)
    first = table.rows[0][1]
    others = [i for i in range(table.width) if i != image]
    values = {i: describe_values(table.cells(i, start)) for i in others}
    layout = table.options.layout
    given = table.options.label_columns
    if given:
        chosen = tuple(
            given_column(table, column, '--label-columns') for column in given
        )
        if image in chosen:
            raise ValueError(
                f'{table.source}: column {table.name(image)} is both the '
                'column of images and one of labels'
            )
        flags = all(values[i].kind == 'flags' for i in chosen)
        is_list = any(word_of(first[i]) in LABEL_WORDS for i in chosen)
        one_hot = layout == 'one-hot' or (
            layout == 'auto' and flags and header and not is_list
        )
        return _checked(table, chosen, values, one_hot=one_hot, start=start)
    if not header:
        if layout == 'one-hot':
            raise ValueError(
                f'{table.source} has no header; a column for each class needs '
                'the names of the classes on top'
            )
        return _labels_without_header(table, others, values)
    named = [
        i
        for i in others
        if re.sub(r'\d+$', '', word_of(first[i])) in LABEL_WORDS
        and table.index.find(first[i]) is None
    ]
    named = [i for i in named if values[i].kind != 'empty'] or named
    known = [i for i in others if table.index.find(first[i]) is not None]
    if layout != 'one-hot' and named:
        return _named_labels(table, named, known, others, values, start)
    return _labels_by_values(table, known, others, values, start)


def _named_labels(
    table: Table,
    named: Sequence[int],
    known: Sequence[int],
    others: Sequence[int],
    values: dict[int, Values],
    start: int,
) -> LabelColumns:
    """Return the columns whose header says that they hold labels."""
    first = table.rows[0][1]
    stems = {re.sub(r'\d+$', '', word_of(first[i])) for i in named}
    texts = [i for i in named if values[i].kind == 'text'] or list(named)
    if len(stems) > 1 and len(texts) > 1:
        rows = {tuple(row[i] for i in texts) for _, row in table.rows[start:]}
        if any(len(set(row)) > 1 for row in rows):
            raise _ambiguous(table, texts, values)
        texts = texts[:1]
    elif len(stems) == 1:
        texts = list(named)
    flags = [i for i in known if values[i].kind == 'flags']
    if table.options.layout == 'auto' and flags:
        raise _ambiguous(table, [*texts, *flags], values)
    left = [i for i in others if i not in texts]
    return LabelColumns(
        tuple(texts), one_hot=False, notes=_left_out(table, left)
    )


def _labels_by_values(
    table: Table,
    known: Sequence[int],
    others: Sequence[int],
    values: dict[int, Values],
    start: int,
) -> LabelColumns:
    """Return the columns of labels below a header without known words."""
    first = table.rows[0][1]
    layout = table.options.layout
    if known and layout in ('auto', 'one-hot'):
        rest = [i for i in others if i not in known]
        unknown = _flags_among(table, rest, values, OTHER_WORDS)
        if unknown:
            raise ValueError(
                f'{table.source}: column {table.name(unknown[0])} holds 0 and '
                '1 (or the like), and is not one of the classes; add the '
                'class, or choose columns by --label-columns'
            )
        found = _checked(table, known, values, one_hot=True, start=start)
        return replace(found, notes=_left_out(table, rest))
    free = [i for i in others if word_of(first[i]) not in OTHER_WORDS]
    kinds: dict[str, list[int]] = {
        kind: [i for i in free if values[i].kind == kind]
        for kind in ('flags', 'counts', 'numbers', 'text', 'empty')
    }
    flags, texts = kinds['flags'], kinds['text']
    if layout in ('list', 'long'):
        flags, pool = [], texts or flags or kinds['numbers'] + kinds['counts']
        if len(pool) != 1:
            raise _ambiguous(table, pool or free, values)
        texts = pool
    if layout == 'one-hot':
        texts = []
    if flags and texts:
        raise _ambiguous(table, [*texts, *flags], values)
    if flags and kinds['counts']:
        raise _not_flags(table, kinds['counts'][0], start)
    if len(flags) == 1 and layout == 'auto':
        # "cat" over 0 and 1 is a class, "Klasse" over 0 and 1 is not.
        raise ValueError(
            f'{table.source}: column {table.name(flags[0])} holds 0 and 1 '
            f'(or the like): is {first[flags[0]]!r} a class that is present '
            'or not (--layout one-hot), or are these the names of the classes '
            '(--layout list)?'
        )
    if flags:
        # "train" over 0 and 1 may be a class or a part of the data.
        rest = [i for i in others if i not in free]
        doubtful = _flags_among(table, rest, values, NEVER_CLASSES)
        if doubtful:
            raise ValueError(
                f'{table.source}: column {table.name(doubtful[0])} holds 0 '
                'and 1 (or the like); whether it is a class is not clear. '
                'Choose columns by --label-columns '
                + ','.join(first[i] for i in flags[:3])
                + ',...' * (len(flags) > 3)
            )
        marks = [i for i in kinds['empty'] if first[i]]
        chosen = sorted([*flags, *marks])
        left = [i for i in others if i not in chosen]
        found = _checked(table, chosen, values, one_hot=True, start=start)
        return replace(found, notes=_left_out(table, left))
    if len(texts) == 1:
        left = [i for i in others if i not in texts]
        return LabelColumns(
            (texts[0],), one_hot=False, notes=_left_out(table, left)
        )
    if len(texts) > 1:
        raise _ambiguous(table, texts, values)
    numbers = kinds['numbers'] + kinds['counts']
    if len(numbers) == 1 and len(others) == 1 and layout != 'one-hot':
        return LabelColumns((numbers[0],), one_hot=False)
    if numbers:
        raise _not_flags(table, numbers[0], start)
    raise ValueError(
        f'{table.source}, line {table.rows[0][0]}: the columns are {first}, '
        "none of which is known to hold labels; call it 'labels', or say "
        'which by --label-columns. A column for each class holds 0 or 1'
    )


def _flags_among(
    table: Table,
    columns: Sequence[int],
    values: dict[int, Values],
    words: set[str],
) -> list[int]:
    """Return the columns of flags whose header is none of some words."""
    return [
        i
        for i in columns
        if values[i].kind == 'flags'
        and word_of(table.rows[0][1][i]) not in words
    ]


def _labels_without_header(
    table: Table, others: Sequence[int], values: dict[int, Values]
) -> LabelColumns:
    filled = [i for i in others if values[i].kind != 'empty']
    texts = [i for i in filled if values[i].kind == 'text']
    chosen = list(others) if len(others) == 1 else texts
    if len(chosen) != 1:
        raise _ambiguous(
            table, chosen or filled or others, values, header=False
        )
    left = [i for i in filled if i not in chosen]
    return LabelColumns(
        (chosen[0],), one_hot=False, notes=_left_out(table, left)
    )


def _checked(
    table: Table,
    columns: Sequence[int],
    values: dict[int, Values],
    *,
    one_hot: bool,
    start: int,
) -> LabelColumns:
    if one_hot:
        absent = any(values[column].says_absent for column in columns)
        for column in columns:
            known = values[column].kind in ('flags', 'empty')
            # Where 0 is written, a blank may mean "unknown".
            if not known or (absent and values[column].has_blanks):
                raise _not_flags(table, column, start)
    return LabelColumns(tuple(columns), one_hot)


def _not_flags(table: Table, column: int, start: int) -> ValueError:
    cells = table.cells(column, start)
    line, value = next(
        (
            (table.rows[start + i][0], cell)
            for i, cell in enumerate(cells)
            if describe_values([cell]).kind != 'flags'
        ),
        (table.rows[start][0], cells[0]),
    )
    found = repr(value) if value else 'a blank beside 0'
    return ValueError(
        f'{table.source}, line {line}: column {table.name(column)} holds '
        f'{found}; a column for each class holds 0 or 1, or a mark or '
        'nothing. Mend it, or choose columns by --label-columns'
    )


def _ambiguous(
    table: Table,
    columns: Sequence[int],
    values: dict[int, Values],
    *,
    header: bool = True,
) -> ValueError:
    listed = ', '.join(
        f'{table.name(i)} with {values[i].kind} such as '
        f'{"/".join(values[i].examples) or "nothing"}'
        for i in columns[:6]
    )
    cure = (
        'Say which by --label-columns, and --layout list (names in a cell) or '
        'one-hot (a column for each class, 0 or 1)'
    )
    if not header:
        cure = (
            'There seems to be no header: put one on top, "image,labels" or '
            '"image,cat,dog" with a column for each class'
        )
    return ValueError(
        f'{table.source}: which columns hold the labels is not clear: '
        f'{listed}. {cure}'
    )


def _left_out(table: Table, columns: Sequence[int]) -> tuple[str, ...]:
    if not columns:
        return ()
    names = ', '.join(table.name(i) for i in columns[:6])
    more = f' and {len(columns) - 6} more' if len(columns) > 6 else ''
    return (f'columns that are not read: {names}{more}',)
