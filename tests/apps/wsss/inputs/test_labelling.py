import json

import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.labels import read_labelling

IMAGES = ['a/1.jpg', 'b/1.jpg', '2.JPG', 'Zoë 3.png', '4.png']


@pytest.fixture
def read(tmp_path):
    def read_text(text, classes=None, name='labels.csv', images=IMAGES):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return read_labelling(
            path, images, read_classes(classes) if classes else None
        )

    return read_text


def test_a_file_as_people_have_it(read):
    # The more frequent of two spellings names a class.
    labelling = read(
        '\ufeffimage;labels\r\na/1.jpg;dog,red car\r\nb/1.jpg;dog\r\n'
        '2.jpg;Cat\r\n"zoë 3";cat|dog\r\n4;\r\n9.png;cat\r\n'
    )
    assert labelling.classes.names == ('background', 'cat', 'dog', 'red car')
    assert labelling.labels == {
        'a/1.jpg': (2, 3),
        'b/1.jpg': (2,),
        '2.JPG': (1,),
        'Zoë 3.png': (1, 2),
    }
    assert labelling.absent == ['9.png']
    assert labelling.empty == ['4.png']


def test_rows_of_one_image_add_up(read):
    labels = read('image,label\n2,dog\n4,cat\n2,cat\n', 'cat,dog').labels
    assert labels == {'2.JPG': (1, 2), '4.png': (1,)}


def test_columns_give_classes_in_their_order(read):
    labelling = read('image,dog,cat\n2,0,1\n4,1,1\n')
    assert labelling.classes.names[1:] == ('dog', 'cat')
    assert labelling.labels == {'2.JPG': (2,), '4.png': (1, 2)}


def test_json(read):
    text = json.dumps(dict(classes=['x', 'y'], labels={'2': ['y']}))
    labelling = read(text, name='labels.json')
    assert labelling.classes.names[1:] == ('x', 'y')
    assert labelling.labels == {'2.JPG': (2,)}


MANY = ''.join(f'{i},dog\n' for i in range(20))


@pytest.mark.parametrize(
    ('text', 'classes', 'message'),
    [
        (
            'image,labels\n2,dgo\n',
            'cat,dog',
            r"line 2: unknown class 'dgo' .*mean 'dog'",
        ),
        ('image,labels\n2,xyz\n', 'cat,dog', 'classes are cat, dog'),
        ('image,labels\n2,background\n', 'cat,dog', 'labels none'),
        ('image,labels\n2,background\n', None, 'names no class'),
        (f'image,labels\n{MANY}2,dogs\n', None, r"line 22: 'dogs' .* 1 time"),
        ('image,labels\n1.jpg,dog\n', None, 'line 2: .* give the folder'),
        ('image,labels\n7,dog\n8,cat\n', None, 'labels none of the 5 images'),
        ('image,labels\n2,\n', None, 'names no class'),
        ('image,by,what\n2,me,dog\n', None, "'by'.*'what'.*--label-col"),
        ('', None, 'empty'),
    ],
)
def test_wrong_files(read, text, classes, message):
    with pytest.raises(UserError, match=message) as caught:
        read(text, classes)
    assert 'labels.csv' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_two_frequent_names_that_look_alike_are_two_classes(read):
    text = ''.join(f'{i},plane\n{i},planet\n' for i in range(20))
    labelling = read(text, images=['2.jpg'])
    assert labelling.classes.names[1:] == ('plane', 'planet')


def test_masks_are_refused(tmp_path):
    (tmp_path / 'x.png').touch()
    with pytest.raises(UserError, match='pixel truth.*--truth'):
        read_labelling(tmp_path, IMAGES, None)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match='x.csv does not exist'):
        read_labelling(tmp_path / 'x.csv', IMAGES, None)
