"""Label Studio's JSON, JSON-MIN and CSV."""

import csv
import io
import json

import pytest

ABOUT = {'annotator': 1, 'annotation_id': 7, 'created_at': '2024',
         'updated_at': '2024', 'lead_time': 1.5}  # fmt: skip


def result(kind, names, control='c', number='r'):
    return {'id': number, 'type': kind, 'from_name': control,
            'value': {kind: names}}  # fmt: skip


def task(*results, data=None, **more):
    data = data or {'image': 'a.jpg'}
    annotations = [{'result': list(results)}] if results else []
    return {'id': 5, 'data': data, 'annotations': annotations, **more}


@pytest.mark.parametrize(
    'kind',
    ['choices', 'labels', 'rectanglelabels', 'polygonlabels', 'brushlabels',
     'ellipselabels', 'keypointlabels', 'bitmasklabels'],
)  # fmt: skip
def test_each_kind(put, read, kind):
    file = read(put('x.json', [task(result(kind, ['cat', 'Große Katze']))]))
    (row,) = file.rows
    assert row.names == ('cat', 'Große Katze')
    assert row.place == 'task 5'


def test_taxonomy_names_its_leaves(put, read):
    paths = [['Animal', 'Cat'], ['Animal', 'Dog', 'Poodle'], ['Sky']]
    file = read(put('x.json', [task(result('taxonomy', paths))]))
    assert file.rows[0].names == ('Cat', 'Poodle', 'Sky')


def test_what_is_no_label_is_counted(put, read):
    tasks = [
        task(result('choices', ['cat'])),
        task(predictions=[{'result': [result('choices', ['dog'])]}]),
        task(),
        {'data': {'image': 'd.jpg'}, 'annotations': [
            {'was_cancelled': True, 'result': [result('choices', ['x'])]}]},
        {'data': {'image': 'e.jpg'}, 'annotations': [
            {'result': [result('choices', ['cat'])]}, {'result': []}],
         'drafts': [{'result': []}]},
        task(result('textarea', ['words']), result('rating', 5)),
        task({'id': 'q', 'type': 'brush', 'value': {'rle': []}}),
    ]  # fmt: skip
    file = read(put('x.json', tasks))
    assert [row.names for row in file.rows] == [('cat',), ('cat',), (), ()]
    notes = ', '.join(file.notes)
    for words in (
        '1 skipped annotation not',
        '1 prediction of a model',
        '1 draft not',
        '3 tasks without an annotation',
        '1 task with several annotations',
        "1 answer of kind 'textarea'",
        '1 region without a label',
    ):
        assert words in notes


def test_old_name_of_annotations(put, read):
    item = {'data': {'image': 'a.jpg'}, 'completions': [
        {'result': [result('choices', ['cat'])]}]}  # fmt: skip
    assert read(put('x.json', [item])).rows[0].names == ('cat',)


@pytest.mark.parametrize(
    ('data', 'image'),
    [
        ({'text': 'A cat', 'picture': 'https://x.org/a.jpg?v=1'}, 'a.jpg'),
        ({'i': '/data/local-files/?d=f/a.jpg'}, 'a.jpg'),
        ({'image': 'https://x.org/files/a'}, 'a.jpg'),
        ({'image': 'a.jpg', 'thumbnail': 'small.jpg'}, 'a.jpg'),
        ({'id': 3, 'url': 's3://bucket/f/a.jpg', 'meta': {}}, 'a.jpg'),
    ],
)
def test_the_image_is_found(put, read, data, image):
    path = put('x.json', [task(result('choices', ['cat']), data=data)])
    file = read(path, images=['a.jpg', 'b.jpg'])
    assert file.rows[0].image.rpartition('/')[2].startswith('a')
    assert file.rows[0].image in data.values()


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ({'one': 'a.jpg', 'two': 'b.jpg'}, 'several values may name'),
        ({'text': 'A cat'}, 'no value names'),
        ({'image': ['a.jpg', 'b.jpg']}, 'no value names'),
    ],
)
def test_the_image_is_not_found(put, refused, data, message):
    path = put('x.json', [task(result('choices', ['cat']), data=data)])
    assert message in refused(path, images=['a.jpg', 'b.jpg'])


def test_several_questions(put, read, refused):
    path = put(
        'x.json',
        [task(result('choices', ['cat'], 'what'), result('choices', ['bad']))],
    )
    message = refused(path)
    assert 'c: bad' in message
    assert 'what: cat' in message
    file = read(path, classes=('cat', 'dog'))
    assert file.rows[0].names == ('cat',)
    assert 'no classes: c (bad)' in file.notes


def test_regions_of_several_controls_are_one_question(put, read):
    results = [result('brushlabels', ['cat'], 'one'),
               result('polygonlabels', ['dog'], 'two')]  # fmt: skip
    assert read(put('x.json', [task(*results)])).rows[0].names == (
        'cat',
        'dog',
    )


def test_json_min(put, read):
    box = {'x': 1, 'y': 1, 'rectanglelabels': ['dog'], 'original_width': 9}
    records = [
        {'image': 'a.jpg', 'id': 1, 'l': [box, box], **ABOUT},
        {'image': 'b.jpg', 'id': 2, 'l': [], **ABOUT},
        {'image': 'c.jpg', 'note': 'x', 'id': 3, **ABOUT},
    ]
    file = read(put('x.json', records))
    assert [row.names for row in file.rows] == [('dog',), (), ()]


def test_json_min_of_another_order(put, refused):
    record = {'annotation_id': 1, 'image': 'a.jpg', 'choice': 'cat'}
    assert 'nor one of its JSON-MIN' in refused(put('x.json', [record]))


def table(put, rows, delimiter=',', name='x.csv'):
    """Columns are sorted, as Label Studio writes them."""
    keys = sorted({key for row in rows for key in (*row, *ABOUT)})
    text = io.StringIO()
    writer = csv.DictWriter(
        text, keys, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC
    )
    writer.writeheader()
    writer.writerows({**ABOUT, **row} for row in rows)
    return put(name, text.getvalue())


@pytest.mark.parametrize(
    ('delimiter', 'name'), [(',', 'x.csv'), ('\t', 'x.tsv'), ('\t', 'x.csv')]
)
def test_csv(put, read, delimiter, name):
    rows = [
        {'image': '/data/upload/a.jpg', 'id': 1, 'choice': 'cat'},
        {'image': 'b.jpg', 'id': 2, 'choice': '{"choices": ["cat", "dog"]}'},
        {'image': 'c.jpg', 'id': 3, 'choice': ''},
    ]
    file = read(table(put, rows, delimiter, name))
    assert file.kind == 'Label Studio CSV'
    assert [r.names for r in file.rows] == [('cat',), ('cat', 'dog'), ()]


def test_csv_of_two_controls_and_data(put, read):
    box = json.dumps([{'x': 1, 'rectanglelabels': ['cat']}])
    brush = json.dumps([{'rle': list(range(200)), 'brushlabels': ['dog']}])
    row = {'image': 'a.jpg', 'id': 1, 'box': box, 'z': brush, 'town': 'Rome'}
    file = read(table(put, [row]))
    assert set(file.rows[0].names) == {'cat', 'dog'}
    assert file.notes == ("column not read: 'town'",)


def test_csv_of_two_texts(put, read, refused):
    path = table(put, [{'image': 'a.jpg', 'what': 'cat', 'how': 'well'}])
    assert 'how: well; what: cat' in refused(path)
    assert read(path, classes=('cat',)).rows[0].names == ('cat',)


def test_csv_with_long_cells(put, read):
    brush = json.dumps([{'rle': [1] * 200_000, 'brushlabels': ['dog']}])
    file = read(table(put, [{'image': 'a.jpg', 'l': brush}]))
    assert file.rows[0].names == ('dog',)
    with pytest.raises(csv.Error):
        list(csv.reader(['"' + 'x' * 200_000 + '"']))


def test_csv_as_the_user_says(put, read):
    from mmseg_weakclip.datasets.labels.tables.options import TableOptions

    path = table(put, [{'image': 'a.jpg', 'what': 'cat', 'how': 'well'}])
    options = TableOptions(label_columns=('how',))
    assert read(path, table=options).rows[0].names == ('well',)


CONFIG = """<View><Image name="img" value="$image"/>
<RectangleLabels name="box" toName="img"><Label value="cat"/>
<Label value="dog"/></RectangleLabels>
<BrushLabels name="brush" toName="img"><Label value="große Katze"/>
</BrushLabels></View>"""


@pytest.mark.parametrize('form', ['CSV', 'TSV', 'JSON_MIN', 'JSON'])
def test_what_label_studios_own_converter_writes(put, read, tmp_path, form):
    sdk = pytest.importorskip('label_studio_sdk.converter')

    def shape(kind, name, control, number):
        place = {'x': 1, 'y': 1, 'width': 9, 'height': 9, 'rotation': 0}
        if kind == 'brushlabels':
            place = {'format': 'rle', 'rle': [0, 0, 0, 4, 57, 37, 231, 224]}
        return {'id': number, 'type': kind, 'from_name': control,
                'to_name': 'img', 'original_width': 9, 'original_height': 9,
                'image_rotation': 0,
                'value': {**place, kind: [name]}}  # fmt: skip

    def item(number, *results):
        annotation = {
            'id': number,
            'completed_by': {'id': 1, 'email': 'a@b.org'},
            'was_cancelled': False,
            'lead_time': 1.5,
            'created_at': '2024-01-01T00:00:00Z',
            'updated_at': '2024-01-01T00:00:00Z',
            'result': list(results),
        }
        data = {'image': f'/data/upload/1/0a1b2c3d-{number}.jpg',
                'town': 'Rome, Italy'}  # fmt: skip
        return {'id': number, 'data': data, 'annotations': [annotation]}

    tasks = [
        item(
            1,
            shape('rectanglelabels', 'cat', 'box', 'a'),
            shape('rectanglelabels', 'dog', 'box', 'b'),
        ),
        item(2, shape('brushlabels', 'große Katze', 'brush', 'c')),
    ]
    source = put('source/tasks.json', tasks)
    converter = sdk.Converter(CONFIG, str(tmp_path))
    out = tmp_path / 'out'
    converter.convert(str(source), str(out), form, is_dir=False)
    (path,) = out.iterdir()
    file = read(path, images=['1.jpg', '2.jpg'])
    assert file.kind.startswith('Label Studio')
    assert [row.image[-5:] for row in file.rows] == ['1.jpg', '2.jpg']
    assert [row.names for row in file.rows] == [
        ('cat', 'dog'),
        ('große Katze',),
    ]
