import json

import pytest

from mmseg_weakclip.datasets.labels.formats import read_image_labels

CLASSES = ('background', 'cat', 'dog', 'teddy bear')


@pytest.fixture
def write(tmp_path):
    def write_file(text: str, name: str = 'labels.json') -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write_file


OWN = {'classes': ['dog', 'cat'], 'labels': {'a': ['cat'], 'b': []}}


def test_own_json_brings_its_classes(write):
    labels = read_image_labels(write(json.dumps(OWN)))
    assert labels.classes == ('dog', 'cat')
    assert dict(labels.labels) == {'a': (1,), 'b': ()}


def test_own_json_over_other_classes(write):
    labels = read_image_labels(write(json.dumps(OWN)), CLASSES)
    assert labels.classes == CLASSES[1:]
    assert dict(labels.labels) == {'a': (0,), 'b': ()}


def test_own_json_contradicting_its_classes(write):
    data = {'classes': ['cat'], 'labels': {'a': ['dog']}}
    with pytest.raises(ValueError, match=r"labels\.json.*'dog'.*'a'"):
        read_image_labels(write(json.dumps(data)), CLASSES)


def test_plain_names_and_ids(write):
    names = read_image_labels(write('{"a": ["Dog", "cat"]}'), CLASSES)
    ids = read_image_labels(write('{"a": [1, 0]}'), CLASSES)
    assert dict(names.labels) == dict(ids.labels) == {'a': (0, 1)}


def test_ids_or_flags(write):
    """Two numbers for two classes may be either."""
    with pytest.raises(ValueError, match=r'\[1, 0\].*class ids, or 0 and 1'):
        read_image_labels(write('{"a": [1, 0]}'), ['cat', 'dog'])


def test_the_background_is_no_label(write):
    labels = read_image_labels(write('{"a": ["background", "cat"]}'), CLASSES)
    assert dict(labels.labels) == {'a': (0,)}


def test_saved_labels_read_back(write, tmp_path):
    labels = read_image_labels(write('{"a": [2], "b": []}'), CLASSES)
    labels.save(tmp_path / 'again.json')
    again = read_image_labels(tmp_path / 'again.json')
    assert (again.classes, dict(again.labels)) == (
        labels.classes,
        dict(labels.labels),
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"a": [3]}', "class 3 of image 'a'"),
        ('{"a": [0, 0, 1]}', 'not a multi-hot list'),
        ('{"a": ["cat", 1]}', "image 'a'"),
        ('{"a": [true]}', "image 'a'"),
        ('{"a": "cat"}', "image 'a'"),
        ('{"a": ["catt"]}', 'nearest: cat'),
        ('["a"]', 'holds a list'),
        ('{"a": ', 'not valid JSON'),
        ('{}', 'no image'),
        ('{"classes": {}, "labels": {}}', "'classes' must be a list"),
    ],
)
def test_bad_json(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_image_labels(write(text), CLASSES)
    assert 'labels.json' in str(caught.value)


def test_plain_json_needs_classes(write):
    with pytest.raises(ValueError, match=r'labels\.json.*class list'):
        read_image_labels(write('{"a": ["cat"]}'))


def test_folder_of_texts(tmp_path):
    (tmp_path / 'a.txt').write_text('dog\nteddy bear\n')
    (tmp_path / 'b.txt').write_text('Teddy-Bear, cat\n')
    (tmp_path / 'c.txt').write_text('\n')
    labels = read_image_labels(tmp_path, CLASSES)
    assert dict(labels.labels) == {'a': (1, 2), 'b': (0, 2), 'c': ()}
    some = read_image_labels(tmp_path, CLASSES, ids=['c', 'a'])
    assert set(some.labels) == {'a', 'c'}
    with pytest.raises(FileNotFoundError, match=r'1 of 2.*z\.txt'):
        read_image_labels(tmp_path, CLASSES, ids=['a', 'z'])


def test_folder_of_texts_names_the_file(tmp_path):
    (tmp_path / 'a.txt').write_text('wolf')
    with pytest.raises(ValueError, match=r"'wolf'.*image 'a', a\.txt"):
        read_image_labels(tmp_path, CLASSES)


def test_clip_es_list(write):
    text = 'COCO_train2014_000000000009 2 0\nplain 1\n\nempty\n'
    labels = read_image_labels(write(text, 'train.txt'), CLASSES)
    assert dict(labels.labels) == {
        '000000000009': (0, 2),
        'plain': (1,),
        'empty': (),
    }


@pytest.mark.parametrize(
    ('line', 'message'),
    [('b 3', "class 3 of image 'b', line 2"), ('b cat', "line 2.*'b cat'")],
)
def test_bad_clip_es_line(write, line, message):
    with pytest.raises(ValueError, match=message):
        read_image_labels(write(f'a 0\n{line}\n', 'train.txt'), CLASSES)
