"""labelme's JSON, alone and in folders."""

import pytest


def labelme(image, labels=(), flags=None, **more):
    shapes = [
        {
            'label': n,
            'points': [[1, 1], [2, 2]],
            'group_id': None,
            'shape_type': 'polygon',
            'flags': {},
        }
        for n in labels
    ]
    return {'version': '5.4.1', 'flags': flags or {}, 'shapes': shapes,
            'imagePath': image, 'imageData': None, 'imageHeight': 9,
            'imageWidth': 9, **more}  # fmt: skip


def test_a_file(put, read):
    file = read(put('a.json', labelme('../img/ü.jpg', ['cat', 'Hündin'])))
    (row,) = file.rows
    assert row.image == '../img/ü.jpg'
    assert row.names == ('cat', 'Hündin')


def test_a_folder_with_folders(put, read, tmp_path):
    put('a.json', labelme('a.jpg', ['cat', 'cat']))
    put('sub/b.json', labelme('..\\..\\img\\b.jpg', ['dog']))
    put('sub/c.json', labelme('c.jpg'))
    put('classes.json', ['cat'])
    file = read(tmp_path, images=['a.jpg', 'img/b.jpg', 'sub/c.jpg'])
    found = {row.place: row for row in file.rows}
    assert found['sub/b.json'].image == '../../img/b.jpg'
    assert found['sub/c.json'].image == 'sub/c.jpg'
    assert [found[p].names for p in ('a.json', 'sub/b.json')] == [
        ('cat',),
        ('dog',),
    ]
    assert '1 other JSON file not read: classes.json' in file.notes


def test_ids(put, read, tmp_path):
    for name in 'abc':
        put(f'{name}.json', labelme(f'{name}.jpg', ['cat']))
    file = read(tmp_path, ids=['b'])
    assert [row.image for row in file.rows] == ['b.jpg']


def test_flags_of_images(put, read, tmp_path):
    flags = {'cat': True, 'dog': False}
    put('a.json', labelme('a.jpg', flags=flags))
    put('b.json', labelme('b.jpg', flags={'cat': False, 'dog': False}))
    assert [row.names for row in read(tmp_path).rows] == [('cat',), ()]


def test_flags_beside_shapes(put, read, refused, tmp_path):
    put('a.json', labelme('a.jpg', ['cat'], {'blurred': True}))
    message = refused(tmp_path)
    assert 'blurred' in message
    assert '--classes' in message
    file = read(tmp_path, classes=('cat',))
    assert file.rows[0].names == ('cat',)
    put('a.json', labelme('a.jpg', ['cat'], {'cat': True}))
    assert read(tmp_path).rows[0].names == ('cat',)


def test_renamed_images_are_found_by_the_file(put, read, tmp_path):
    put('new.json', labelme('old.jpg', ['cat']))
    file = read(tmp_path, images=['new.jpg'])
    assert file.rows[0].image == 'new'
    assert 'found by the name of the JSON file' in ' '.join(file.notes)


@pytest.mark.parametrize('label', ['', None, 3])
def test_shapes_without_a_label(put, refused, tmp_path, label):
    put('a.json', labelme('a.jpg', [label]))
    assert 'shape 1: label is' in refused(tmp_path)


def test_a_broken_file_among_others(put, refused, tmp_path):
    put('a.json', labelme('a.jpg', ['cat']))
    put('b.json', '{"shapes": [')
    assert 'b.json is not valid JSON' in refused(tmp_path)
    put('0.json', '')
    assert '0.json is not valid JSON' in refused(tmp_path)


def test_an_old_file_with_a_list_of_flags(put, read):
    file = read(put('a.json', labelme('a.jpg', ['cat']) | {'flags': []}))
    assert file.rows[0].names == ('cat',)


def test_nested_folders_alone(put, read, tmp_path):
    put('train/a.json', labelme('a.jpg', ['cat']))
    put('train/a.jpg', b'')
    put('val/b.json', labelme('b.jpg', ['dog']))
    assert [row.image for row in read(tmp_path).rows] == [
        'train/a.jpg',
        'val/b.jpg',
    ]
