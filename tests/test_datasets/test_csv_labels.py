import pytest

from mmseg_weakclip.datasets import read_image_labels

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
        ('photo,what\na,cat\n', r"'what'.*line 1"),
        ('a,cat\nb,cat,dog\n', 'line 2'),
        ('a,cat\n,dog\n', 'line 2'),
        # Other separators must not read as images without labels.
        ('a;cat\nb;dog\n', 'line 1'),
        ('a\tcat\nb\tdog\n', 'line 1'),
        ('image,cat,dog\na,0,1\nb,0,2\n', 'line 3'),
        ('image,cat,dog\na,0,1\nb,0\n', 'line 3'),
        ('image,cat,dog\na,0,1\na,1,1\n', "image 'a' two"),
        ('image,cat,wolf\na,0,1\n', "'wolf'"),
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
