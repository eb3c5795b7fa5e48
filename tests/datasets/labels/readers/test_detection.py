"""A small file of each format is found to be of this format, by itself."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.labels.content import Content, ReadOptions
from mmseg_weakclip.datasets.labels.formats import (
    FORMATS,
    detect_format,
    read_label_file,
)


def png():
    buffer = io.BytesIO()
    Image.new('L', (4, 4)).save(buffer, 'PNG')
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, {'a': np.array([1, 0])}, allow_pickle=True)
    return buffer.getvalue()


LABELME = {'version': '5.4.1', 'flags': {}, 'shapes': [{'label': 'cat'}],
           'imagePath': 'a.jpg', 'imageData': None}  # fmt: skip
COCO = {'images': [{'id': 1, 'file_name': 'a.jpg'}],
        'annotations': [{'image_id': 1, 'category_id': 1}],
        'categories': [{'id': 1, 'name': 'cat'}]}  # fmt: skip
TASK = {
    'id': 1,
    'data': {'image': 'a.jpg'},
    'annotations': [
        {
            'result': [
                {
                    'type': 'choices',
                    'from_name': 'c',
                    'value': {'choices': ['cat']},
                }
            ]
        }
    ],
}
RECORD = {'image': 'a.jpg', 'id': 1, 'choice': 'cat', 'annotator': 1,
          'annotation_id': 1}  # fmt: skip
VIA = {'a.jpg9': {'filename': 'a.jpg', 'size': 9, 'file_attributes': {},
       'regions': [{'shape_attributes': {},
                    'region_attributes': {'class': 'cat'}}]}}  # fmt: skip
VIA_CSV = (
    'filename,file_size,file_attributes,region_count,region_id,'
    'region_shape_attributes,region_attributes\n'
    'a.jpg,9,"{}",1,0,"{""name"":""rect""}","{""class"":""cat""}"\n'
)
VOC = '<annotation><object><name>cat</name></object></annotation>'
CVAT = (
    '<annotations><image id="0" name="a.jpg"><tag label="cat"/></image>'
    '</annotations>'
)
GCS = 'gs://bucket/a.jpg'
MANIFEST = {'source-ref': 's3://bucket/a.jpg', 'job': 0,
            'job-metadata': {'class-name': 'cat'}}  # fmt: skip
VERTEX = {'imageGcsUri': GCS, 'classificationAnnotation':
          {'displayName': 'cat'}}  # fmt: skip
SAMPLE = {'filepath': '/x/a.jpg', 'ground_truth':
          {'_cls': 'Classification', 'label': 'cat'}}  # fmt: skip
OPEN_IMAGES = 'ImageID,Source,LabelName,Confidence\na,verification,/m/1,1\n'
CARD = '/m/1,cat\n'

# Format, files, and the one to give ('' for their folder).
SAMPLES = [
    ('npy', {'a.npy': npy()}, 'a.npy'),
    ('vertex', {'a.jsonl': VERTEX}, 'a.jsonl'),
    ('ground-truth', {'output.manifest': MANIFEST}, 'output.manifest'),
    ('ground-truth', {'output.json': MANIFEST}, 'output.json'),
    ('hugging-face', {'metadata.csv': 'file_name,label\na.jpg,cat\n'},
     'metadata.csv'),
    ('hugging-face', {'metadata.csv': 'file_name,label\na.jpg,cat\n',
                      'a.jpg': b''}, ''),
    ('hugging-face', {'train/metadata.jsonl':
                      {'file_name': 'a.jpg', 'label': 'cat'},
                      'train/a.jpg': b''}, ''),
    ('coco-json', {'any.json': COCO}, 'any.json'),
    ('export-folder', {'annotations/instances_train.json': COCO,
                       'train/a.jpg': b''}, ''),
    ('fiftyone', {'labels.json': {'classes': ['cat'], 'labels': {'a': 0}}},
     'labels.json'),
    ('fiftyone', {'samples.json': {'samples': [SAMPLE]}}, 'samples.json'),
    ('label-studio', {'a.json': [TASK]}, 'a.json'),
    ('label-studio', {'a.json': [RECORD]}, 'a.json'),
    ('labelme', {'a.json': LABELME}, 'a.json'),
    ('labelme', {'a.json': LABELME, 'a.jpg': b''}, ''),
    ('labelme', {'a.json': LABELME, 'a.png': png()}, ''),
    ('via', {'via.json': VIA}, 'via.json'),
    ('via', {'via.json': {'_via_img_metadata': VIA, '_via_settings': {}}},
     'via.json'),
    ('via', {'via.csv': VIA_CSV}, 'via.csv'),
    ('label-studio-csv', {'a.csv': 'annotation_id,annotator,choice,id,image,'
     'lead_time\n1,1,cat,1,a.jpg,1\n'}, 'a.csv'),
    ('json-records', {'a.json': [{'image': 'a.jpg', 'label': 'cat'}]},
     'a.json'),
    ('json-records', {'a.jsonl': {'image': 'a.jpg', 'label': 'cat'}},
     'a.jsonl'),
    ('json', {'a.json': {'classes': ['cat'], 'labels': {'a': ['cat']}}},
     'a.json'),
    ('json', {'a.json': {'classes': ['cat', 'dog'], 'labels': {'a': [0]}}},
     'a.json'),
    ('json', {'a.json': {'a': ['cat'], 'b': []}}, 'a.json'),
    ('clip-es', {'a.txt': 'a 0\nb 0 1\n'}, 'a.txt'),
    ('open-images', {'train.csv': OPEN_IMAGES,
                     'class-descriptions.csv': CARD}, 'train.csv'),
    ('automl-csv', {'a.csv': f'TRAIN,{GCS},cat\n'}, 'a.csv'),
    ('automl-csv', {'a.csv': f'{GCS},cat\n'}, 'a.csv'),
    ('csv', {'a.csv': 'image,label\na.jpg,cat\n'}, 'a.csv'),
    ('csv', {'_classes.csv': 'filename, cat, dog\na.jpg, 1, 0\n'},
     '_classes.csv'),
    ('cvat-xml', {'x.xml': CVAT}, 'x.xml'),
    ('export-folder', {'annotations.xml': CVAT, 'images/a.jpg': b''}, ''),
    ('export-folder', {'train/_annotations.coco.json': COCO,
                       'valid/_annotations.coco.json': COCO}, ''),
    ('voc-xml', {'a.xml': VOC}, ''),
    ('voc-xml', {'a.xml': VOC}, 'a.xml'),
    ('voc-xml', {'Annotations/a.xml': VOC, 'JPEGImages/a.jpg': b''}, ''),
    ('yolo', {'a.txt': '0 0.5 0.5 0.1 0.1\n', 'classes.txt': 'cat\n'}, ''),
    ('yolo', {'labels/train/a.txt': '', 'data.yaml': 'names: [cat]\n'}, ''),
    ('yolo', {'labels/train/a.txt': '0 0.5 0.5 0.1 0.1\n',
              'data.yaml': 'names: [cat]\n'}, 'data.yaml'),
    ('yolo', {'obj.names': 'cat\n', 'train.txt': 'obj_train_data/a.jpg\n',
              'obj_train_data/a.txt': '0 0.5 0.5 0.1 0.1\n'}, ''),
    ('txt', {'a.txt': 'cat\n', 'b.txt': 'cat, dog\n'}, ''),
    ('image-folder', {'cat/1.jpg': b'', 'dog/2.jpg': b''}, ''),
    ('image-folder', {'cat/1.png': png(), 'dog/2.png': png()}, ''),
    ('masks', {'a.png': png()}, ''),
]  # fmt: skip


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample[0])
def sample(request, put, tmp_path):
    name, files, given = request.param
    for file, content in files.items():
        put(file, content)
    return name, tmp_path / given


def test_each_is_found(sample):
    name, path = sample
    assert detect_format(path) == name


def test_no_other_particular_format_wants_it(sample):
    """Only general formats, which come later, may take it too."""
    name, path = sample
    general = {'json', 'json-records', 'csv', 'clip-es', 'masks', 'txt',
               'image-folder', 'voc-xml', 'yolo'}  # fmt: skip
    wanted = {f.name for f in FORMATS if f.matches(Content(path))}
    assert name in wanted
    assert wanted - {name} <= general


def test_each_has_a_sample():
    assert {sample[0] for sample in SAMPLES} == {f.name for f in FORMATS}


def test_each_is_read(sample):
    name, path = sample
    # These have numbers alone.
    needed = ('cat', 'dog') if name in ('npy', 'clip-es', 'masks') else None
    rows = read_label_file(path, ReadOptions(classes=needed)).rows
    names = {name for row in rows for name in row.names}
    assert names <= {'cat', 'dog'}
    assert rows


def test_the_table_of_formats_in_the_docs(repo):
    text = (repo / 'docs/formats.md').read_text(encoding='utf-8')
    for format in FORMATS:
        assert f'`{format.name}`' in text, format.name


@pytest.mark.parametrize(
    'text',
    [
        b'{"a": [', b'[' * 100_000, b'\xff\xfe\x00', b'\x80\x81',
        b'{"a": "\xff"}', b'', b'nul', b'{"images": [], "annota',
    ],
)  # fmt: skip
@pytest.mark.parametrize('name', ['a.json', 'metadata.jsonl'])
def test_broken_json_is_refused_in_a_line(put, text, name):
    path = put(name, text)
    with pytest.raises(ValueError) as error:
        read_label_file(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def spoilt_texts(content):
    """Yield a file cut off, of another encoding, and with a stray byte."""
    data = (
        content
        if isinstance(content, bytes)
        else (
            content if isinstance(content, str) else json.dumps(content)
        ).encode()
    )
    for share in (0.2, 0.5, 0.8, 0.95):
        yield data[: int(len(data) * share)]
    for encoding in ('utf-16', 'utf-32', 'utf-8-sig'):
        yield data.decode('utf-8', 'replace').encode(encoding)
    for place in (1, len(data) // 2, len(data) - 1):
        for byte in (b'\xff', b'\0', b'"', b'<', b'\r', b','):
            yield data[:place] + byte + data[place:]
    yield b''


@pytest.mark.parametrize('sample', SAMPLES, ids=lambda s: f'{s[0]}-{s[2]}')
def test_spoilt_files_are_refused_in_a_line(put, tmp_path, sample):
    _, files, given = sample
    for file, content in files.items():
        for other, own in files.items():
            put(other, own)
        if file.endswith(('.jpg', '.png')):
            continue
        for spoilt in spoilt_texts(content):
            put(file, spoilt)
            rows, message = rows_or_message(tmp_path / given)
            assert '\n' not in (message or '')
            assert message is None or str(tmp_path) in message
            assert all(isinstance(row.image, str) for row in rows)


FORCED = [format.name for format in FORMATS]


@pytest.mark.parametrize('name', FORCED)
def test_a_format_that_the_user_names_wrongly(put, tmp_path, name):
    """Any file read as any format: rows, or a message with the file."""
    for number, (_, files, given) in enumerate(SAMPLES):
        for file, content in files.items():
            put(f'{number}/{file}', content)
        path = tmp_path / str(number) / given
        try:
            rows = read_label_file(path, format=name).rows
        except (ValueError, OSError) as error:
            message = str(error)
        else:
            message = str(path)
            assert all(isinstance(row.image, str) for row in rows)
        assert str(path) in message
        assert '\n' not in message


VALUES = [None, 0, 1.5, 'x', [], {}, [None], [[]], {'a': None}, True]


@pytest.mark.parametrize('value', VALUES, ids=repr)
@pytest.mark.parametrize(
    'data',
    [COCO, [TASK], [RECORD], LABELME, VIA, {'samples': [SAMPLE]},
     {'classes': ['cat'], 'labels': {'a': [{'label': 0}]}},
     [{'image': 'a.jpg', 'label': 'cat'}], VERTEX, MANIFEST],
    ids=['coco', 'task', 'record', 'labelme', 'via', 'samples', 'fiftyone',
         'records', 'vertex', 'manifest'],
)  # fmt: skip
def test_any_value_may_be_anything(put, data, value):
    """Each value in turn becomes another: labels, or a message in a line."""
    for changed in spoiled(json.loads(json.dumps(data)), value):
        path = put('a.json', changed)
        rows, message = rows_or_message(path)
        assert message is None or str(path) in message
        assert '\n' not in (message or '')
        for row in rows:
            assert isinstance(row.image, str)
            assert all(isinstance(name, str) for name in row.names)


def rows_or_message(path):
    try:
        return read_label_file(path).rows, None
    except ValueError as error:
        return (), str(error)


def spoiled(data, value):
    """Yield copies with one value, at any depth, replaced."""
    items = (
        list(data.items())
        if isinstance(data, dict)
        else list(enumerate(data))
        if isinstance(data, list)
        else []
    )
    for key, child in items:
        for other in (value, *spoiled(child, value)):
            copy = dict(data) if isinstance(data, dict) else list(data)
            copy[key] = other
            yield copy
