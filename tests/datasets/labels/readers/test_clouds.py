"""Import files and manifests of Google's and Amazon's services."""

import json

import pytest


def lines(*records):
    return '\n'.join(map(json.dumps, records)) + '\n'


def gcs(name, **more):
    return {'imageGcsUri': f'gs://bucket/dir/{name}', **more}


def test_vertex(put, read):
    names = [{'displayName': 'cat'}, {'displayName': 'Große Katze'}]
    box = {'xMin': '0.1', 'yMin': '0.1', 'xMax': '0.2', 'yMax': '0.2'}
    records = [
        gcs('a.jpg', classificationAnnotation={'displayName': 'cat'},
            dataItemResourceLabels={
                'aiplatform.googleapis.com/ml_use': 'test'}),
        gcs('b.jpg', classificationAnnotations=names),
        gcs('c.jpg', boundingBoxAnnotations=[{'displayName': 'dog', **box}]),
        gcs('d.jpg', boundingBoxAnnotations=[]),
        gcs('e.jpg'),
        {'image_gcs_uri': 'gs://b/f.jpg',
         'classification_annotation': {'display_name': 'cat'}},
    ]  # fmt: skip
    file = read(put('import.jsonl', lines(*records)))
    assert file.kind == 'Vertex AI JSON lines'
    assert [row.names for row in file.rows] == [
        ('cat',),
        ('cat', 'Große Katze'),
        ('dog',),
        (),
        ('cat',),
    ]
    assert file.rows[0].image == 'gs://bucket/dir/a.jpg'
    assert file.notes == ('1 image without an annotation',)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('{"classificationAnnotation": {"displayName": "x"}}', 'imageGcsUri'),
        (json.dumps(gcs('b.jpg', classificationAnnotation={})), 'displayName'),
        ('{"imageGcsUri": "gs://b', 'line 2 is not valid JSON'),
        ('[1]', 'line 2 is not a JSON object'),
    ],
)
def test_vertex_with_defects(put, refused, line, message):
    first = gcs('a.jpg', classificationAnnotation={'displayName': 'cat'})
    assert message in refused(put('x.jsonl', lines(first) + line))


def test_automl(put, read):
    text = (
        'TRAIN,gs://b/a.jpg,cat,"dog, large"\r\n'
        'gs://b/b.jpg,cat\n'
        'UNASSIGNED,gs://b/c.jpg\n'
        ',gs://b/d.jpg,1\n'
    )
    file = read(put('x.csv', text))
    assert [(row.place, row.names) for row in file.rows] == [
        ('line 1', ('cat', 'dog, large')),
        ('line 2', ('cat',)),
        ('line 4', ('1',)),
    ]
    assert file.notes == ('1 image without a label',)


def test_automl_boxes(put, read):
    text = (
        'TRAIN,gs://b/a.png,car,0.1,0.1,,,0.3,0.3,,\n'
        'TRAIN,gs://b/a.png,bike,.7,.6,,,.8,.9,,\n'
        'TEST,gs://b/c.png,,,,,,,,,\n'
    )
    rows = read(put('x.csv', text)).rows
    assert [row.names for row in rows] == [('car',), ('bike',), ()]


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('TRAIN,b.jpg,cat', 'line 2: expected an image such as gs://'),
        ('b.jpg,cat', 'line 2'),
        ('OTHER,gs://b/b.jpg,cat', 'TRAIN, VALIDATION or TEST'),
    ],
)
def test_automl_with_defects(put, refused, line, message):
    assert message in refused(put('x.csv', f'gs://b/a.jpg,cat\n{line}\n'))
    path = put('y.csv', 'gs://b/a.jpg,größe\n'.encode('latin-1'))
    assert 'not encoded in UTF-8' in refused(path)


def s3(name, **more):
    return {'source-ref': f's3://bucket/{name}', **more}


def job(value, **about):
    return {'pets': value, 'pets-metadata': {'job-name': 'x', **about}}


def test_ground_truth(put, read):
    names = {'0': 'dog', '1': 'cat', '2': 'cow'}
    box = {'class_id': 1, 'left': 1, 'top': 1, 'width': 2, 'height': 2}
    records = [
        s3('a.jpg', **job(0, **{'class-name': 'dog'})),
        s3('b.jpg', **job([0, 1], **{'class-map': names})),
        s3('c.jpg', **job([], **{'class-map': {}})),
        s3('d.jpg', **job({'annotations': [box, box]}, **{
            'class-map': names, 'human-annotated': 'no'})),
        s3('e.jpg', **{'pets-metadata': {'failure-reason': 'x'}}),
        s3('f.jpg', mask=1, **{'seg-ref': 's3://m.png',
                               'seg-ref-metadata': {}}),
        s3('g.jpg', **job('1', **{'class-map': names})),
    ]  # fmt: skip
    file = read(put('output.manifest', lines(*records)))
    assert file.kind == 'Ground Truth manifest'
    assert [row.names for row in file.rows] == [
        ('dog',),
        ('dog', 'cat'),
        (),
        ('cat',),
        ('cat',),
    ]
    notes = ', '.join(file.notes)
    assert '1 label made by a model' in notes
    assert '1 label failed' in notes
    assert '1 mask not read' in notes
    assert '2 images without a label' in notes


def test_jobs_that_verify_or_adjust(put, read):
    cat, dog = {'class-map': {'0': 'cat'}}, {'class-map': {'0': 'dog'}}
    record = s3('a.jpg', one=[0], two=[0], check=0)
    record['one-metadata'] = cat
    record['two-metadata'] = {**dog, 'adjustment-status': 'adjusted'}
    record['check-metadata'] = {
        'class-name': 'bad',
        'type': 'groundtruth/label-verification',
    }
    file = read(put('x.manifest', lines(record)))
    assert file.rows[0].names == ('dog',)
    assert '1 verification not read' in file.notes


def test_labels_of_rekognition(put, read):
    record = s3('a.jpg')
    for name in ('sun', 'sea'):
        record[f'd_{name}'] = 1
        record[f'd_{name}-metadata'] = {'class-name': name}
    file = read(put('x.manifest', lines(record)))
    assert file.rows[0].names == ('sun', 'sea')
    assert file.notes == ('labels of the jobs d_sun, d_sea',)


def test_ids_without_names(put, refused):
    record = s3('a.jpg', **job([7], **{'class-map': {'0': 'dog'}}))
    message = refused(put('x.manifest', lines(record)))
    assert 'class 7 has no name in its class-map (ids: 0)' in message
