import pytest

from mmseg_weakclip.datasets.labels.formats import read_image_labels

CLASSES = ('background', 'cat', 'dog', 'teddy bear')
EXPECTED = {'a': (0, 2), 'b': (1,), 'c': ()}


@pytest.fixture
def read(tmp_path):
    def read_text(text: str, classes=CLASSES):
        path = tmp_path / 'labels.csv'
        path.write_text(text)
        return read_image_labels(path, classes)

    return read_text


@pytest.mark.parametrize(
    'text',
    [
        'image,labels\na,cat;teddy bear\nb,dog\nc,\n',
        'a.jpg,cat; Teddy Bear\nb.jpg,dog\nc.jpg,\n',
        'File Name,Class Names\na,cat;teddy_bear\nb,dog\nc,\n',
        '\ufeffimage_id,label\na,cat\na,teddy bear\nb,dog\nc,\n',
        'a,cat\nb,dog\na,teddy bear\na,cat\nc,\n',
        'image,cat,dog,teddy bear\na,1,0,1\nb,0,1,0\nc,0,0,0\n',
        'image,teddy bear,cat,dog\nb,0,0,1\na,True,1.0,false\n\nc,0,0,0\n',
        # As spreadsheets of other countries write them.
        'image;labels\na;cat,teddy bear\nb;dog\nc;\n',
        'a;"cat;teddy bear"\nb;dog\nc;\n',
        '"a";"cat|teddy bear"\r\n"b";"dog"\r\n"c";""\r\n',
        'a\tcat;teddy bear\nb\tdog\nc\t\n',
        'image,labels\na,"cat, teddy bear"\nb,dog\nc,\n',
        'n,file,by,tags\n1,a.jpg,me,cat;teddy bear\n2,b,,dog\n3,c,,\n',
    ],
)
def test_forms(read, text):
    assert dict(read(text).labels) == EXPECTED


def test_class_columns_bring_the_classes(read):
    labels = read('image,dog,cat\na,0,1\n', None)
    assert labels.classes == ('dog', 'cat')
    assert labels['a'] == (1,)


def test_a_class_called_like_a_header(tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_text('image,label\nb,tin\n')
    labels = read_image_labels(path, ['label', 'tin'])
    assert dict(labels.labels) == {'image': (0,), 'b': (1,)}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('image,labels\na,cat\nb,catt\n', r"'catt'.*image 'b', line 3"),
        ('place,what\na,cat\n', r"'what'.*line 1"),
        ('a,cat\nb,cat,dog\n', 'line 2'),
        ('a,cat\n,dog\n', 'line 2'),
        # A separator that changes must not read as images without labels.
        ('a;cat\nb\tdog\n', 'line 2'),
        ('image,by,what\na,me,cat\n', r"not clear.*'by'.*'what'"),
        ('what,source,tags\na,me,cat\n', r"images.*Call it 'image'"),
        ('image,cat,dog\na,0,1\nb,0,2\n', 'line 3'),
        ('image,cat,dog\na,0,1\nb,0\n', 'line 3'),
        ('image,cat,dog\na,0,1\na,1,1\n', "image 'a' has two"),
        ('image,cat,wolf\na,0,1\n', "'wolf'.*not one of the classes"),
        ('', 'empty'),
    ],
)
def test_bad_rows(read, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(text)
    assert 'labels.csv' in str(caught.value)


def test_names_need_classes(read):
    with pytest.raises(ValueError, match='class list'):
        read('a,cat\n', None)


def test_a_name_with_a_separator(read):
    labels = read('a,"salt, pepper"\nb,cat\n', ['cat', 'salt, pepper'])
    assert dict(labels.labels) == {'a': (1,), 'b': (0,)}


def test_other_encodings_are_named(tmp_path):
    path = tmp_path / 'labels.csv'
    path.write_bytes('image,labels\na,Kühe\n'.encode('latin-1'))
    with pytest.raises(ValueError, match=r'labels\.csv is not .*UTF-8'):
        read_image_labels(path, ['Kühe'])
