"""VGG Image Annotator: project, JSON and CSV."""

import csv
import io
import json

import pytest

HEADER = ['filename', 'file_size', 'file_attributes', 'region_count',
          'region_id', 'region_shape_attributes',
          'region_attributes']  # fmt: skip


def item(name, *regions, **attributes):
    return {
        'filename': name,
        'size': 9,
        'file_attributes': attributes,
        'regions': [
            {'shape_attributes': {'name': 'rect'}, 'region_attributes': r}
            for r in regions
        ],
    }


def project(*items):
    images = {f'{i["filename"]}9': i for i in items}
    return {
        '_via_settings': {},
        '_via_img_metadata': images,
        '_via_attributes': {},
        '_via_data_format_version': '2.0.10',
    }


def test_project_and_annotations_alone(put, read):
    data = project(item('a.jpg', {'kind': 'cat'}, {'kind': 'dog'}),
                   item('b.jpg'))  # fmt: skip
    for value in (data, data['_via_img_metadata']):
        file = read(put('x.json', value))
        assert file.kind == 'VGG Image Annotator'
        assert [row.names for row in file.rows] == [('cat', 'dog'), ()]


def test_boxes_that_are_ticked_and_old_regions(put, read):
    first = item('a.jpg', {'kind': {'cat': True, 'dog': False}})
    second = item('b.jpg')
    second['regions'] = {'0': {'region_attributes': {'kind': 'dog'}}}
    rows = read(put('x.json', project(first, second))).rows
    assert [row.names for row in rows] == [('cat',), ('dog',)]


def test_attributes_of_files(put, read):
    data = project(item('a.jpg', kind='cat', caption='A cat', image_url='x'))
    assert read(put('x.json', data)).rows[0].names == ('cat',)


def test_several_attributes(put, read, refused):
    region = {'species': 'cat', 'pose': 'sitting'}
    path = put('x.json', project(item('a.jpg', region, {})))
    assert "'pose' of regions: sitting" in refused(path)
    file = read(path, classes=('cat',))
    assert file.rows[0].names == ('cat',)
    assert '1 region without a label' in file.notes
    region = {'class': 'cat', 'pose': 'sitting'}
    file = read(put('x.json', project(item('a.jpg', region))))
    assert file.rows[0].names == ('cat',)
    assert "not read: attribute 'pose' of regions" in file.notes


def table(*rows):
    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *rows])
    return text.getvalue()


def row(name, count, **attributes):
    return [name, 9, '{}', count, 0, '{"name":"rect"}',
            json.dumps(attributes)]  # fmt: skip


def test_csv(put, read):
    rows = (row('a.jpg', 2, type='cat'), row('a.jpg', 2, type='dog'),
            row('b.jpg', 0))  # fmt: skip
    file = read(put('x.csv', table(*rows)))
    assert [r.names for r in file.rows] == [('cat',), ('dog',), ()]
    assert file.rows[1].place == 'line 3'


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        (['a.jpg', 9], 'line 2: 2 cells instead of 7'),
        (['', 9, '{}', 0, 0, '{}', '{}'], 'filename is'),
        (['a.jpg', 9, '{}', 1, 0, '{}', '{"a"'], 'not JSON'),
        (['a.jpg', 9, '{}', 1, 0, '{}', '{"a": [1]}'], 'not a name'),
    ],
)
def test_csv_with_defects(put, refused, cells, message):
    assert message in refused(put('x.csv', table(cells)))


def test_csv_of_another_encoding(put, refused):
    content = table(row('ü.jpg', 0)).encode('latin-1')
    assert 'not encoded in UTF-8' in refused(put('x.csv', content))
