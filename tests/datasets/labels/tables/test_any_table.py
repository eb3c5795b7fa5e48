"""Random tables are read back as the labels they were written from."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmseg_weakclip.common.names import SPELLINGS, name_key
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.datasets.labels.named_classes import named_classes
from mmseg_weakclip.datasets.labels.records import NOTHING, clean_names
from mmseg_weakclip.datasets.labels.tables.options import TableOptions
from mmseg_weakclip.datasets.labels.tables.reader import read_label_table

SYNONYMS = {name_key(name) for group in SPELLINGS for name in group}
LETTERS = 'abcdefghijklmnopqrstuvwxyzäöüßéøżжы水木'
WORD = st.text(LETTERS, min_size=2, max_size=7)
CLASS = st.one_of(
    WORD,
    st.builds('{} {}'.format, WORD, WORD),
    st.from_regex(r'[0-9]{1,2}', fullmatch=True),
    st.sampled_from(['cat', 'Dog', 'potted plant', 'x', 'yes']),
).filter(
    lambda name: (
        name_key(name) not in NOTHING and name_key(name) not in SYNONYMS
    )
)
STEM = st.one_of(
    WORD,
    st.from_regex(r'[0-9]{1,4}', fullmatch=True),
    st.from_regex(r'IMG_[0-9]{3}', fullmatch=True),
)
IMAGE_HEADERS = [
    'image',
    'filename',
    'Datei',
    'файл',
    'file name',
    'id',
    'Bild',
]
LABEL_HEADERS = ['labels', 'label', 'Etiketten', 'tags', 'метки', 'class']
EXTRAS = {
    'width': lambda i: '640',
    'split': lambda i: ('train', 'test')[i % 2],
    'id': lambda i: str(i + 1),
    'Größe': lambda i: f'{i + 2}.5',
    'empty': lambda i: '',
    'annotator': lambda i: 'Ann',
}


def plural_or_same(names):
    """Names that a person would be asked about: dog and dogs, Dog and dog."""
    keys = [name_key(name) for name in names]
    ends = {key + end for key in keys for end in ('s', 'es')}
    return len(set(keys)) < len(keys) or bool(ends & set(keys))


@st.composite
def tables(draw):
    """A set of labels, and a file that holds them."""
    stems = draw(
        st.lists(STEM, min_size=2, max_size=8, unique_by=str.casefold)
    )
    suffix = draw(st.sampled_from(['.jpg', '.PNG', '.jpeg']))
    images = [f'{stem}{suffix}' for stem in stems]
    classes = draw(
        st.lists(CLASS, min_size=1, max_size=5, unique_by=name_key).filter(
            lambda names: not plural_or_same(names)
        )
    )
    labels = {
        image: draw(st.lists(st.sampled_from(classes), unique=True))
        for image in images
    }
    labels[images[0]] = labels[images[0]] or classes[:1]
    layout = draw(st.sampled_from(['list', 'json', 'long', 'one-hot']))
    with_suffix = draw(st.booleans())
    header = draw(st.booleans()) or layout == 'one-hot'
    spell = {i: i if with_suffix else i.rpartition('.')[0] for i in images}
    rows: list[list[str]] = []
    columns = [draw(st.sampled_from(IMAGE_HEADERS))]
    if layout == 'one-hot':
        columns += classes
        pair = draw(
            st.sampled_from([('1', '0'), ('True', 'False'), ('x', ''),
                             ('yes', 'no'), ('1', '')])
        )  # fmt: skip
        for image in images:
            flags = [pair[name not in labels[image]] for name in classes]
            rows.append([spell[image], *flags])
    else:
        columns.append(draw(st.sampled_from(LABEL_HEADERS)))
        delimiter_in_cell = draw(st.sampled_from([';', '|', ', ', '；']))
        for image in images:
            if layout == 'json':
                cell = json.dumps(labels[image], ensure_ascii=False)
                rows.append([spell[image], cell])
            elif layout == 'long':
                pairs = [[spell[image], name] for name in labels[image]]
                rows += pairs or [[spell[image], '']]
            else:
                cell = delimiter_in_cell.join(labels[image])
                rows.append([spell[image], cell])
    extras = draw(
        st.lists(st.sampled_from(sorted(EXTRAS)), max_size=2, unique=True)
    )
    for extra in extras if header else ():
        place = draw(st.integers(0, len(columns)))
        columns.insert(place, extra)
        for index, row in enumerate(rows):
            row.insert(place, EXTRAS[extra](index))
    if draw(st.booleans()) and not extras:
        columns.append(columns.pop(0))
        rows = [[*row[1:], row[0]] for row in rows]
    rows = draw(st.permutations(rows))
    delimiter = draw(st.sampled_from([',', ';', '\t']))
    encoding = draw(st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']))
    buffer = io.StringIO()
    if draw(st.booleans()) and delimiter != '\t':
        buffer.write(f'sep={delimiter}\r\n')
    writer = csv.writer(
        buffer,
        delimiter=delimiter,
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    writer.writerows([columns, *rows] if header else rows)
    content = buffer.getvalue().encode(encoding)
    return images, labels, classes, content


def read(path, images, classes=()):
    finder = ImageFinder(images)
    file = clean_names(
        read_label_table(path, classes, TableOptions(), finder), classes
    )
    found: dict[str, set[str]] = {}
    named = set()
    for row in file.rows:
        image = finder.find(row.image, '')
        found.setdefault(image, set()).update(map(name_key, row.names))
        named |= {name_key(name) for name in row.names}
    named_classes(file)
    return {image: names for image, names in found.items() if names}


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('tables') / 'labels.csv'


def keys_of(labels):
    return {
        image: {name_key(name) for name in names}
        for image, names in labels.items()
        if names
    }


COUNTS = {'read': 0, 'refused': 0}


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(case=tables(), knows_classes=st.booleans())
def test_any_table_is_read_rightly_or_refused(path, case, knows_classes):
    images, labels, classes, content = case
    path.write_bytes(content)
    try:
        found = read(path, images, classes if knows_classes else ())
    except ValueError as error:
        COUNTS['refused'] += 1
        message = str(error)
        found = None
    if found is None:
        assert str(path) in message
        return
    COUNTS['read'] += 1
    assert found == keys_of(labels), content.decode('utf-8', 'replace')


def test_most_tables_are_read():
    """Refusing all would be right, and of no use."""
    assert COUNTS['read'] > 3 * COUNTS['refused'] > 0
