"""Folders: of a class each, YOLO's, VOC's, and unpacked exports."""

import pytest

BOX = '{} 0.5 0.5 0.1 0.1\n'


# A folder for each class


def test_classes_are_folders(put, read, tmp_path):
    for name in ('große Katze/1.JPG', 'dog/2.png', 'dog/deep/3.jpg', '0.jpg'):
        put(name, b'')
    put('dog/notes.txt', 'x')
    put('.hidden/4.jpg', b'')
    file = read(tmp_path)
    assert file.kind == 'folder for each class'
    assert file.classes == ('dog', 'große Katze')
    assert {row.image: row.names for row in file.rows} == {
        'große Katze/1.JPG': ('große Katze',),
        'dog/2.png': ('dog',),
        'dog/deep/3.jpg': ('dog',),
    }
    assert '1 image in no folder of a class: 0.jpg' in file.notes


def test_the_same_folder_as_the_images(put, read, tmp_path):
    images = ['cat/1.jpg', 'dog/1.jpg', 'none/2.jpg']
    for name in images:
        put(name, b'')
    file = read(tmp_path, images=images)
    assert [row.image for row in file.rows] == images
    assert file.rows[2].names == ()
    assert file.classes == ('cat', 'dog')
    assert "such as '1'" in ' '.join(file.notes)


def test_parts_of_a_data_set(put, read, tmp_path):
    put('train/cat/1.jpg', b'')
    put('val/dog/2.jpg', b'')
    file = read(tmp_path)
    assert [(r.image, r.names) for r in file.rows] == [
        ('train/cat/1.jpg', ('cat',)),
        ('val/dog/2.jpg', ('dog',)),
    ]


@pytest.mark.parametrize('names', [('0', '1'), ('n02123045', 'n02085620')])
def test_folders_called_by_ids(put, read, refused, tmp_path, names):
    for name in names:
        put(f'{name}/1.jpg', b'')
    assert 'ids and no names of classes' in refused(tmp_path)
    assert read(tmp_path, classes=names).classes == tuple(sorted(names))


@pytest.mark.parametrize('name', ['images', 'JPEGImages', 'masks'])
def test_folders_that_are_no_classes(put, refused, tmp_path, name):
    put(f'{name}/1.jpg', b'')
    put('cat/1.jpg', b'')
    assert 'not a folder of labels that is known' in refused(tmp_path)


def test_links_that_form_a_circle(put, read, tmp_path):
    put('cat/1.jpg', b'')
    (tmp_path / 'cat/again').symlink_to(tmp_path, target_is_directory=True)
    assert len(read(tmp_path).rows) == 1


# YOLO


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('classes.txt', 'cat\nGroße Katze\n\n'),
        ('data.yaml', 'nc: 2\nnames: [cat, Große Katze]\n'),
        ('data.yaml', 'names:\n  0: cat\n  1: Große Katze\n'),
        ('obj.names', 'cat\r\nGroße Katze'),
        ('_darknet.labels', '\ufeffcat\nGroße Katze\n'),
        ('notes.json', '{"categories": [{"id": 0, "name": "cat"}, '
         '{"id": 1, "name": "Große Katze"}]}'),
    ],
)  # fmt: skip
def test_names_beside_or_above(put, read, tmp_path, name, text):
    put('labels/train/a.txt', BOX.format(1) + BOX.format('0.0'))
    put('labels/train/b.txt', '')
    put('labels/val/sub/c.txt', '0 0.1 0.1 0.2 0.2 0.1 0.2\n')
    put(name, text)
    file = read(tmp_path / 'labels/train')
    assert file.kind == 'YOLO labels'
    assert file.classes == ('cat', 'Große Katze')
    assert [row.names for row in file.rows] == [('Große Katze', 'cat'), ()]
    file = read(tmp_path, ids=['c'])
    (row,) = file.rows
    assert (row.image, row.names) == ('images/val/sub/c', ('cat',))
    assert name in file.notes[0]


def test_words_that_yaml_would_change(put, read, tmp_path):
    put('labels/a.txt', BOX.format(0) + BOX.format(1) + BOX.format(2))
    put('data.yaml', 'names: [no, 1, on]\n')
    assert read(tmp_path).rows[0].names == ('no', '1', 'on')


def test_files_of_images_are_told_apart(put, read, tmp_path):
    put('labels/train/a.txt', BOX.format(0))
    put('labels/val/a.txt', BOX.format(1))
    put('data.yaml', 'names: [cat, dog]\n')
    images = ['images/train/a.jpg', 'images/val/a.jpg']
    rows = read(tmp_path, images=images).rows
    assert [row.image for row in rows] == ['images/train/a', 'images/val/a']


def test_darknet(put, read, tmp_path):
    put('obj.data', 'classes = 2\nnames = data/obj.names\n')
    put('obj.names', 'cat\ndog\n')
    put('train.txt', 'data/obj_train_data/a.jpg\n')
    put('obj_train_data/a.txt', BOX.format(1))
    assert [r.names for r in read(tmp_path).rows] == [('dog',)]


def test_confidences_are_counted(put, read, tmp_path):
    put('a.txt', '0 0.5 0.5 0.1 0.1 0.87\n')
    put('classes.txt', 'cat')
    assert '1 object with a confidence' in read(tmp_path).notes[1]


def test_ids_by_the_class_list(put, read, tmp_path):
    put('a.txt', BOX.format(1))
    file = read(tmp_path, classes=('cat', 'dog'))
    assert file.rows[0].names == ('dog',)
    assert 'order of the class list' in file.notes[0]


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({'a.txt': BOX.format(0)}, 'put classes.txt'),
        ({'a.txt': BOX.format(2), 'classes.txt': 'cat\n'}, 'no class 2'),
        ({'a.txt': BOX.format(-1), 'classes.txt': 'cat\n'}, 'no class -1'),
        ({'a.txt': BOX.format(0.5), 'classes.txt': 'cat\n'}, 'a whole id'),
        ({'a.txt': '0 0.5\n', 'classes.txt': 'cat\n'}, 'four numbers'),
        ({'a.txt': BOX.format(0), 'b.txt': 'a cat\n', 'classes.txt': 'cat\n'},
         'b.txt, line 1'),
        ({'a.txt': BOX.format(0), 'classes.txt': 'cat\n\ndog\n'}, 'shifted'),
        ({'a.txt': BOX.format(0), 'classes.txt': ''}, 'lists no classes'),
        ({'a.txt': BOX.format(0), 'data.yaml': 'names: {1: x}'}, 'ids 1'),
        ({'a.txt': BOX.format(0), 'data.yaml': 'names: [x'}, 'valid YAML'),
        ({'a.txt': BOX.format(0), 'classes.txt': 'cat\n',
          'data.yaml': 'names: [dog]'}, 'list different classes'),
        ({'a.txt': '0 0.5 0.5 0.1 nan\n', 'classes.txt': 'x'}, ''),
    ],
)  # fmt: skip
def test_yolo_with_defects(put, read, refused, tmp_path, files, message):
    for name, text in files.items():
        put(name, text)
    if message:
        assert message in refused(tmp_path)
    else:
        assert read(tmp_path).rows


def test_yolo_of_another_encoding(put, refused, tmp_path):
    put('a.txt', b'\xff\xfe0')
    put('classes.txt', 'cat')
    assert 'not in UTF-8' in refused(tmp_path)


def test_labels_that_lie_elsewhere(put, refused):
    path = put('data.yaml', 'path: ../other\nnames: [cat]\n')
    assert 'no label files' in refused(path)


def test_names_in_text_files_beside_a_list(put, read, tmp_path):
    put('a.txt', 'cat\ndog')
    put('classes.txt', 'cat\ndog')
    file = read(tmp_path)
    assert file.kind == 'text file per image'
    assert [(r.image, r.names) for r in file.rows] == [('a', ('cat', 'dog'))]
    assert file.notes == ('a list of classes, no image: classes.txt',)


def test_only_a_folder_called_labels_is_one_of_images(put, read, tmp_path):
    put('mylabels/labels/labels/a.txt', BOX.format(0))
    put('classes.txt', 'cat')
    assert read(tmp_path).rows[0].image == 'mylabels/labels/images/a'


def test_nothing_of_yaml_is_executed(put, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put('a.txt', BOX.format(0))
    put('data.yaml', 'names: !!python/object/apply:os.system ["touch x"]')
    assert read(tmp_path).rows[0].names == ('touch x',)
    assert not (tmp_path / 'x').exists()


# VOC


def voc(*names):
    objects = ''.join(f'<object><name>{n}</name></object>' for n in names)
    return f'<annotation><filename>x.jpg</filename>{objects}</annotation>'


def test_voc_in_folders(put, read, tmp_path):
    put('train/a.xml', voc('cat', 'Hündin'))
    put('valid/a.xml', voc())
    file = read(tmp_path)
    assert [(r.image, r.names) for r in file.rows] == [
        ('train/a', ('cat', 'Hündin')),
        ('valid/a', ()),
    ]
    assert read(tmp_path, ids=['b']).rows == ()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (voc(' '), 'object 1 has no name'),
        (voc('cat')[:-5], 'not valid XML'),
        ('<svg/>', 'its root is <svg>'),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + voc('&b;'), 'entities'),
    ],
)
def test_voc_with_defects(put, refused, tmp_path, text, message):
    put('a.xml', voc('cat'))
    put('b.xml', text)
    assert message in refused(tmp_path)


# COCO


def coco(*pairs, categories=None, images=('a.jpg', 'b.jpg')):
    return {
        'images': [{'id': i, 'file_name': n} for i, n in enumerate(images)],
        'categories': categories or [{'id': 1, 'name': 'cat'},
                                     {'id': 2, 'name': 'dog'}],
        'annotations': [{'id': i, 'image_id': image, 'category_id': c}
                        for i, (image, c) in enumerate(pairs)],
    }  # fmt: skip


def test_panoptic(put, read):
    data = coco()
    data['annotations'] = [
        {'image_id': 0, 'file_name': 'a.png', 'segments_info': [
            {'id': 7, 'category_id': 2}, {'id': 8, 'category_id': 1}]}
    ]  # fmt: skip
    rows = read(put('x.json', data)).rows
    assert [row.names for row in rows] == [('dog', 'cat'), ()]


def test_a_category_over_all_others(put, read):
    root = [{'id': 0, 'name': 'pets', 'supercategory': 'none'},
            {'id': 1, 'name': 'cat', 'supercategory': 'pets'}]  # fmt: skip
    file = read(put('x.json', coco((0, 1), categories=root)))
    assert file.classes == ('cat',)
    assert "'pets'" in file.notes[0]
    file = read(put('x.json', coco((0, 1), (1, 0), categories=root)))
    assert file.classes == ('pets', 'cat')


def test_coco_with_defects(put, refused):
    data = coco((0, 1))
    data['categories'].append({'id': 1, 'name': 'cow'})
    assert "category 1 is there twice, as 'cat' and as 'cow'" in refused(
        put('x.json', data)
    )
    data = coco((0, 1))
    del data['images'][0]['file_name']
    assert 'image 0: file_name is None' in refused(put('x.json', data))
    data = coco((0, 1))
    del data['annotations'][0]['category_id']
    assert 'the category None' in refused(put('x.json', data))


# Unpacked exports


def test_several_files_of_a_format(put, read, tmp_path):
    for split, name in (('train', 'a.jpg'), ('valid', 'a.jpg')):
        put(f'{split}/_annotations.coco.json', coco((0, 1), images=[name]))
    file = read(tmp_path, images=['train/a.jpg', 'valid/a.jpg'])
    assert file.kind == 'COCO JSON'
    assert [row.image for row in file.rows] == ['train/a.jpg', 'valid/a.jpg']
    assert file.classes == ('cat', 'dog')
    assert file.rows[0].place == 'train/_annotations.coco.json'


def test_several_formats(put, refused, tmp_path):
    put('annotations.xml', '<annotations><image name="a.jpg"/></annotations>')
    put('result.json', coco((0, 1)))
    assert 'of several formats' in refused(tmp_path)


def test_a_broken_file_of_an_export(put, refused, tmp_path):
    put('train/_annotations.coco.json', '{"images": [')
    assert 'not valid JSON' in refused(tmp_path)
