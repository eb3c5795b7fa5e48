"""HuggingFace, FiftyOne, Open Images and lists of records."""

import json

import pytest

from mmseg_weakclip.datasets.labels.tables.options import TableOptions


def lines(*records):
    return '\n'.join(
        json.dumps(record, ensure_ascii=False) for record in records
    )


CARD = """---
license: mit
dataset_info:
- config_name: default
  features:
  - name: image
    dtype: image
  - name: labels
    sequence:
      class_label:
        names:
          '0': cat
          '10': yes
          '1': no
---
# Pets
"""


# HuggingFace


def test_names_in_every_form(put, read):
    records = [
        {'file_name': 'a.jpg', 'labels': 'große Katze', 'text': 'x'},
        {'file_name': 'b.jpg', 'labels': ['cat', 'dog']},
        {'file_name': 'c.jpg', 'labels': None},
        {'file_name': 'd.jpg', 'labels': 'a\u2028b'},
    ]
    file = read(put('metadata.jsonl', lines(*records)))
    assert [row.names for row in file.rows] == [
        ('große Katze',),
        ('cat', 'dog'),
        ('a\u2028b',),
    ]
    assert '1 image without a label' in file.notes


@pytest.mark.parametrize(
    'objects',
    [
        {'bbox': [[1, 1, 2, 2]], 'categories': ['cat']},
        [{'bbox': [1, 1, 2, 2], 'category': 'cat'}],
        {'bbox': [], 'label': ['cat', 'cat']},
    ],
)
def test_objects(put, read, objects):
    record = {'file_name': 'a.jpg', 'objects': objects}
    path = put('train/metadata.jsonl', lines(record))
    (row,) = read(path.parents[1]).rows
    assert (row.image, row.names) == ('train/a.jpg', ('cat',))
    assert row.place == 'train/metadata.jsonl, line 1'


def test_csv_cells(put, read):
    text = (
        'file_name,labels\na.jpg,cat\nb.jpg,"[""cat"", ""dog""]"\n'
        "c.jpg,\"['cat', 'dog']\"\nd.jpg,\ne.jpg,cat;dog\n"
    )
    file = read(put('metadata.csv', text))
    assert [row.names for row in file.rows] == [
        ('cat',), ('cat', 'dog'), ('cat', 'dog'), ('cat', 'dog')]  # fmt: skip


@pytest.mark.parametrize('cell', ['1', '1.0', '[1]'])
def test_ids_of_csv_named_by_the_card(put, read, refused, cell):
    path = put('train/metadata.csv', f'file_name,labels\na.jpg,{cell}\n')
    message = refused(path)
    assert 'class 1 is an id' in message
    assert 'README.md' in message
    file = read(path, classes=('dog', 'cat'))
    assert file.rows[0].names == ('cat',)
    put('README.md', CARD)
    file = read(path)
    assert file.rows[0].names == ('no',)
    assert 'README.md' in file.notes[0]


def test_ids_named_by_a_list(put, read, refused):
    put('classes.txt', 'cat\ndog\n')
    path = put('metadata.jsonl', lines({'file_name': 'a.jpg', 'label': 1}))
    assert read(path).rows[0].names == ('dog',)
    path = put('metadata.jsonl', lines({'file_name': 'a.jpg', 'label': 2}))
    assert 'there is no class 2' in refused(path)


def test_metadata_without_labels(put, refused, tmp_path):
    path = put('metadata.csv', 'file_name,text\na.jpg,A cat\n')
    assert 'no column is called label' in refused(path)
    path.unlink()
    put('metadata.parquet', b'PAR1')
    assert 'is Parquet' in refused(tmp_path)


@pytest.mark.parametrize('text', ['a.jpg,cat,dog\n', ',cat\n', '"a.jpg,cat\n'])
def test_csv_with_defects(put, refused, text):
    assert 'line 2' in refused(put('metadata.csv', f'file_name,label\n{text}'))


def test_other_metadata_beside_folders_of_classes(put, read, tmp_path):
    put('metadata.csv', 'image,camera\na.jpg,x\n')
    put('cat/a.jpg', b'')
    assert read(tmp_path).kind == 'folder for each class'


def test_csv_as_the_user_says(put, read):
    path = put('metadata.csv', 'file_name,label,other\na.jpg,cat,dog\n')
    options = TableOptions(label_columns=('other',))
    assert read(path, table=options).rows[0].names == ('dog',)


@pytest.mark.parametrize(
    'card', ['', '---', '---\n[\n---\n', '---\na\n---\n', '---\n- 1\n---\n',
             '---\ndataset_info: {features: 3}\n---\n']
)  # fmt: skip
def test_broken_cards_are_no_list(put, refused, card):
    put('README.md', card)
    path = put('metadata.csv', 'file_name,label\na.jpg,0\n')
    assert 'is an id' in refused(path)


# Lists of records


def test_records(put, read, refused):
    records = [
        {'image': 'a.jpg', 'labels': ['cat']},
        {'image': 'b.jpg', 'labels': []},
        {'image': 'c.jpg'},
    ]
    for path in (put('x.json', records), put('x.jsonl', lines(*records))):
        file = read(path)
        assert file.kind == 'JSON records'
        assert [row.names for row in file.rows] == [('cat',), ()]
        assert "images in 'image', labels in 'labels'" in file.notes
    path = put('x.json', [{'path': 'a.jpg', 'class': 3}])
    assert 'record 1: class: class 3 is an id' in refused(path)
    assert read(path, classes=tuple('wxyz')).rows[0].names == ('z',)


# FiftyOne


def labels_json(labels, classes=('cat', 'dog')):
    data = {'labels': labels}
    return data if classes is None else {'classes': list(classes), **data}


@pytest.mark.parametrize(
    ('target', 'names'),
    [
        (1, ('dog',)),
        ([0, 1], ('cat', 'dog')),
        ({'label': 1, 'confidence': 0.5, 'attributes': {}}, ('dog',)),
        ([{'label': 0, 'bounding_box': [0, 0, 1, 1]}], ('cat',)),
    ],
)
def test_targets(put, read, target, names):
    data = labels_json({'x/ü': target, 'none': None})
    file = read(put('labels.json', data))
    assert file.kind == 'FiftyOne JSON'
    assert file.classes == ('cat', 'dog')
    (row,) = file.rows
    assert (row.image, row.names) == ('x/ü', names)
    assert '1 image without a label' in file.notes


def test_targets_are_names_without_classes(put, read):
    data = labels_json({'a': 'cat', 'b': {'label': 'dog'}}, None)
    file = read(put('labels.json', data))
    assert [row.names for row in file.rows] == [('cat',), ('dog',)]
    assert file.classes is None


@pytest.mark.parametrize('target', [2, -1, True, {'label': 9}])
def test_ids_that_are_none(put, refused, target):
    message = refused(put('labels.json', labels_json({'a': 0, 'b': target})))
    assert "image 'b'" in message


def test_ids_without_classes(put, refused):
    message = refused(put('labels.json', labels_json({'a': 0}, None)))
    assert 'list them under "classes"' in message


def sample(**fields):
    return {
        'filepath': 'data/a.jpg',
        'tags': ['x'],
        'metadata': None,
        **fields,
    }


def test_samples(put, read, refused):
    one = {'_cls': 'Classification', 'label': 'cat', 'confidence': None}
    boxes = {'_cls': 'Detections', 'detections': [{'label': 'dog'}]}
    guess = {'_cls': 'Detections',
             'detections': [{'label': 'x', 'confidence': 0.3}]}  # fmt: skip

    def samples(**fields):
        return put('samples.json', {'samples': [sample(**fields), sample()]})

    assert read(samples(any=one)).rows[0].names == ('cat',)
    assert read(samples(any=boxes)).rows[0].names == ('dog',)
    file = read(samples(any=boxes, model=guess))
    assert file.rows[0].names == ('dog',)
    assert 'fields that are not read: model' in file.notes
    assert '1 image without a label' in file.notes
    assert read(samples(ground_truth=one, any=boxes)).rows[0].names == ('cat',)
    assert read(samples(model=guess)).rows[0].names == ('x',)
    assert 'fields of labels: any, more' in refused(samples(any=one, more=one))
    assert 'fields of labels: none' in refused(samples())


# Open Images

WORDS = '/m/01yrx,Cat\n/m/0bt9lr,Dog\n'


def test_labels_of_images(put, read):
    put('oidv7-class-descriptions.csv', f'LabelName,DisplayName\n{WORDS}')
    text = (
        'ImageID,Source,LabelName,Confidence\n'
        'a,verification,/m/01yrx,1\n'
        'a,verification,/m/0bt9lr,0\n'
        'a,crowdsource-verification,/m/0bt9lr,1\n'
        'b,verification,/m/01yrx,0\n'
        'c,machine,/m/01yrx,0.8\n'
    )
    file = read(put('train-labels.csv', text))
    found = {row.image: row.names for row in file.rows}
    assert found == {'a': ('Cat', 'Dog'), 'b': ()}
    assert '2 labels verified as absent' in file.notes
    assert '1 label guessed by a model' in ' '.join(file.notes)


def test_boxes_are_present(put, read):
    put('class-descriptions-boxable.csv', WORDS)
    text = (
        'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded\n'
        'a,xclick,/m/01yrx,1,0,1,0,1,0\na,activemil,/m/0bt9lr,1,0,1,0,1,0\n'
    )
    assert read(put('boxes.csv', text)).rows[0].names == ('Cat', 'Dog')
    text = 'MaskPath,ImageID,LabelName,BoxID\nm.png,a,/m/01yrx,1\n'
    assert read(put('masks.csv', text)).rows[0].names == ('Cat',)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('a,verification,/m/01yrx,1', 'put class-descriptions.csv'),
        ('a,verification,Cat', 'line 2: 3 cells instead of 4'),
        ('a,verification,Cat,sure', "Confidence is 'sure'"),
        ('a,verification,Cat,1.5', 'expected 0 to 1'),
        (',verification,Cat,1', 'is empty'),
    ],
)
def test_open_images_with_defects(put, refused, line, message):
    header = 'ImageID,Source,LabelName,Confidence\n'
    assert message in refused(put('x.csv', header + line + '\n'))
    put('class-descriptions.csv', '/m/0,\n')
    if message.startswith('put'):
        path = put('x.csv', header + line + '\n')
        assert 'expected an id and a name' in refused_word_list(path)


def refused_word_list(path):
    from mmseg_weakclip.datasets.labels.formats import read_label_file

    with pytest.raises(ValueError) as error:
        read_label_file(path)
    return str(error.value)
