"""Eight files of each of five tools, as people have them, with their quirks.

Each is read by the one function that all commands use, with the images that
are there, and gives the right classes of each image, or is refused with a
message that says what to do. What the tools write is from their documents.
"""

import csv
import io
import json

import pytest

from mmseg_weakclip.datasets.labels.content import ReadOptions
from mmseg_weakclip.datasets.labels.formats import read_label_file
from mmseg_weakclip.datasets.labels.matching import ImageFinder

IMAGES = ('a.jpg', 'b.jpg', 'c.png', 'sub/d.jpg', 'über.jpg')
CASES = []


def case(tool, kind, expected, classes=None):
    """Register a function that writes a file and returns its path.

    ``expected`` is the classes of each image, or a part of the refusal.
    """

    def register(write):
        mark = pytest.param(
            kind, write, expected, classes, id=f'{tool}-{write.__name__}'
        )
        CASES.append(mark)
        return write

    return register


def put(folder, name, text, encoding='utf-8'):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(text, str):
        text = json.dumps(text, ensure_ascii=False)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(('kind', 'write', 'expected', 'classes'), CASES)
def test_file(tmp_path, kind, write, expected, classes):
    options = ReadOptions(classes=classes, finder=ImageFinder(IMAGES))
    path = write(tmp_path)
    if isinstance(expected, str):
        with pytest.raises(ValueError) as refused:
            read_label_file(path, options)
        assert expected in str(refused.value)
        # File, and in one line.
        assert str(tmp_path) in str(refused.value)
        assert '\n' not in str(refused.value)
        return
    file = read_label_file(path, options)
    assert file.kind.startswith(kind)
    found = {}
    for row in file.rows:
        image = options.finder.find(row.image, file.where(row))
        found.setdefault(image, set()).update(row.names)
    assert found == {image: set(names) for image, names in expected.items()}


def test_there_are_forty():
    assert len(CASES) == 40


# CVAT for images 1.1


def cvat(body, holder='task', labels=('cat', 'dog'), head=''):
    listed = ''.join(f'<label><name>{n}</name></label>' for n in labels)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations>'
        f'<version>1.1</version><meta><{holder}><labels>{listed}</labels>'
        f'</{holder}></meta>{body}</annotations>'
    )


BOX = '<box label="{}" source="manual" xtl="1" ytl="1" xbr="9" ybr="9"/>'


@case('cvat', 'CVAT XML', {'a.jpg': ['cat'], 'b.jpg': []})
def cvat_boxes(folder):
    body = (
        f'<image id="0" name="a.jpg" width="9" height="9">'
        f'{BOX.format("cat")}{BOX.format("cat")}</image>'
        '<image id="1" name="b.jpg" width="9" height="9"></image>'
    )
    return put(folder, 'annotations.xml', cvat(body))


@case('cvat', 'CVAT XML', {'a.jpg': ['cat', 'dog'], 'sub/d.jpg': ['dog']})
def cvat_every_shape_and_folders(folder):
    body = (
        '<image id="0" name="a.jpg"><tag label="cat"></tag>'
        '<polyline label="dog" points="1,1;2,2"/></image>'
        '<image id="1" name="sub/d.jpg" subset="Train">'
        '<mask label="dog" rle="1, 2" left="0" top="0" width="3" height="1"/>'
        '<ellipse label="dog" cx="1" cy="1" rx="1" ry="1"/>'
        '<points label="dog" points="1,1"/>'
        '<polygon label="dog" points="1,1;2,2;3,1">'
        '<attribute name="name">cat</attribute></polygon></image>'
    )
    return put(folder, 'annotations.xml', cvat(body, 'job'))


@case('cvat', 'CVAT XML', {'über.jpg': ['große katze']})
def cvat_of_a_project_in_unicode(folder):
    body = f'<image id="7" name="über.jpg">{BOX.format("große katze")}</image>'
    text = cvat(body, 'project', ['große katze'])
    return put(folder, 'exports/annotations.xml', text).parent


@case('cvat', 'CVAT XML', {'a.jpg': ['hand']})
def cvat_skeletons(folder):
    body = (
        '<image id="0" name="a.jpg"><skeleton label="hand">'
        '<points label="thumb" points="1,1"/></skeleton></image>'
    )
    text = cvat(body, labels=['hand'])
    part = '<label><name>thumb</name><parent>hand</parent></label></labels>'
    return put(folder, 'a.xml', text.replace('</labels>', part))


@case('cvat', '', 'CVAT for images 1.1')
def cvat_for_videos(folder):
    body = '<track id="0" label="cat"><box frame="0" outside="0"/></track>'
    return put(folder, 'annotations.xml', cvat(body))


@case('cvat', '', 'is not valid XML')
def cvat_cut_off(folder):
    body = f'<image id="0" name="a.jpg">{BOX.format("cat")}'
    return put(folder, 'annotations.xml', cvat(body)[:-20])


@case('cvat', '', "'lion' is not among those of <meta> (cat, dog)")
def cvat_edited_by_hand(folder):
    body = f'<image id="0" name="a.jpg">{BOX.format("lion")}</image>'
    return put(folder, 'annotations.xml', cvat(body))


@case('cvat', '', 'defines XML entities')
def cvat_that_asks_for_a_file(folder):
    head = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    body = f'<image id="0" name="a.jpg">{BOX.format("&x;")}</image>'
    return put(folder, 'annotations.xml', cvat(body, head=head))


# Label Studio


def region(kind, names, control='label', number='r1'):
    value = {'x': 1, 'y': 1, 'width': 5, 'height': 5, kind: names}
    return {'id': number, 'type': kind, 'from_name': control,
            'to_name': 'image', 'value': value}  # fmt: skip


def chosen(names, control='choice'):
    return {'type': 'choices', 'from_name': control, 'to_name': 'image',
            'value': {'choices': names}}  # fmt: skip


def task(image, *annotations, number=1, **more):
    given = [
        {'id': i, 'was_cancelled': False, 'result': result}
        for i, result in enumerate(annotations)
    ]
    return {'id': number, 'data': {'image': image}, 'annotations': given,
            'predictions': [], **more}  # fmt: skip


@case(
    'label-studio',
    'Label Studio JSON',
    {'a.jpg': ['cat'], 'b.jpg': ['cat', 'dog'], 'c.png': []},
)
def label_studio_choices(folder):
    tasks = [
        task('/data/upload/1/1a2b3c4d-a.jpg', [chosen(['cat'])]),
        task('/data/upload/1/5e6f7a8b-b.jpg', [chosen(['cat', 'dog'])]),
        task('/data/upload/1/00112233-c.png', []),
    ]
    return put(folder, 'project-1-at-2024-01-01.json', tasks)


@case(
    'label-studio', 'Label Studio JSON', {'sub/d.jpg': ['cat', 'dog', 'sun']}
)
def label_studio_regions_of_all_kinds(folder):
    results = [
        region('rectanglelabels', ['cat']),
        region('brushlabels', ['dog'], 'brush', 'r2'),
        region('polygonlabels', ['sun'], 'polygon', 'r3'),
        region('ellipselabels', ['sun'], 'ellipse', 'r4'),
        region('keypointlabels', ['cat'], 'point', 'r5'),
        {**region('rectangle', []), 'id': 'r6'},
        region('labels', ['cat'], 'labels', 'r6'),
    ]
    image = '/data/local-files/?d=photos/sub/d.jpg'
    return put(folder, 'export.json', [task(image, results)])


@case('label-studio', 'Label Studio JSON', {'a.jpg': ['cat', 'dog']})
def label_studio_several_annotators_and_skipped(folder):
    item = task('s3://bucket/a.jpg', [chosen(['cat'])], [chosen(['dog'])])
    item['annotations'].append(
        {'id': 9, 'was_cancelled': True, 'result': [chosen(['lion'])]}
    )
    item['predictions'] = [{'result': [chosen(['tiger'])], 'score': 0.9}]
    skipped = task('s3://bucket/b.jpg', number=2)
    skipped['annotations'] = [{'was_cancelled': True, 'result': []}]
    return put(folder, 'export.json', [item, skipped])


@case(
    'label-studio',
    'Label Studio JSON',
    {'a.jpg': ['cat'], 'b.jpg': ['cat', 'dog'], 'c.png': ['dog']},
)
def label_studio_json_min(folder):
    def record(image, **answers):
        about = {'annotator': 1, 'annotation_id': 1,
                 'created_at': '2024-01-01T00:00:00Z',
                 'updated_at': '2024-01-01T00:00:00Z',
                 'lead_time': 1.5}  # fmt: skip
        return {'image': image, 'id': 1, **answers, **about}

    records = [
        record('/data/upload/1/1a2b3c4d-a.jpg', choice='cat'),
        record('b.jpg', choice={'choices': ['cat', 'dog']}),
        record('c.png', choice='dog'),
    ]
    return put(folder, 'export-min.json', records)


@case('label-studio', '', '--classes')
def label_studio_two_questions(folder):
    results = [chosen(['cat']), chosen(['blurred'], 'quality')]
    return put(folder, 'export.json', [task('a.jpg', results)])


@case('label-studio', 'Label Studio', {'a.jpg': ['cat']}, ('cat', 'dog'))
def label_studio_two_questions_and_classes(folder):
    results = [chosen(['cat']), chosen(['blurred'], 'quality')]
    return put(folder, 'export.json', [task('a.jpg', results)])


@case(
    'label-studio',
    'Label Studio CSV',
    {'a.jpg': ['cat'], 'b.jpg': ['cat', 'dog'], 'c.png': ['dog']},
)
def label_studio_csv_of_choices(folder):
    rows = [
        ['image', 'id', 'choice', 'annotator', 'annotation_id', 'created_at',
         'updated_at', 'lead_time'],
        ['/data/upload/1/1a2b3c4d-a.jpg', 1, 'cat', 1, 11,
         '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', 3.2],
        ['/data/upload/1/2a2b3c4d-b.jpg', 2, '{"choices": ["cat", "dog"]}', 1,
         12, '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', 2.2],
        ['/data/upload/1/3a2b3c4d-c.png', 3, 'dog', 1, 13,
         '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', 1.2],
    ]  # fmt: skip
    return put(folder, 'export.csv', as_csv(rows))


@case('label-studio', 'Label Studio', {'a.jpg': ['cat', 'dog'], 'b.jpg': []})
def label_studio_csv_of_regions(folder):
    shapes = [
        {'x': 1, 'y': 2, 'width': 3, 'height': 4, 'rotation': 0,
         'rectanglelabels': [name], 'original_width': 9, 'original_height': 9}
        for name in ('cat', 'dog')
    ]  # fmt: skip
    about = [1, 11, '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', 3.2]
    rows = [
        ['image', 'id', 'label', 'annotator', 'annotation_id', 'created_at',
         'updated_at', 'lead_time'],
        ['/data/upload/1/1a2b3c4d-a.jpg', 1, json.dumps(shapes), *about],
        ['/data/upload/1/2a2b3c4d-b.jpg', 2, '', *about],
    ]  # fmt: skip
    return put(folder, 'export.csv', as_csv(rows))


def as_csv(rows, delimiter=','):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


# Roboflow: COCO, YOLO and one-hot

HASH = '0123456789abcdef0123456789abcdef'


def coco(names, pairs, root=False):
    listed = [{'id': i + root, 'name': n, 'supercategory': 'pets'}
              for i, n in enumerate(('cat', 'dog'))]  # fmt: skip
    if root:
        listed.insert(0, {'id': 0, 'name': 'pets', 'supercategory': 'none'})
    return {
        'info': {},
        'licenses': [],
        'categories': listed,
        'images': [
            {'id': i, 'file_name': n, 'height': 9, 'width': 9}
            for i, n in enumerate(names)
        ],
        'annotations': [
            {'id': i, 'image_id': image, 'category_id': category,
             'bbox': [1, 1, 2, 2], 'area': 4, 'iscrowd': 0}
            for i, (image, category) in enumerate(pairs)
        ],
    }  # fmt: skip


@case('roboflow', 'COCO JSON', {'a.jpg': ['cat', 'dog'], 'b.jpg': []})
def roboflow_coco_with_a_root_category(folder):
    names = [f'{stem}_jpg.rf.{HASH}.jpg' for stem in 'ab']
    data = coco(names, [(0, 1), (0, 2), (0, 1)], root=True)
    return put(folder, '_annotations.coco.json', data)


@case('roboflow', 'COCO JSON', {'a.jpg': ['cat'], 'c.png': ['dog']})
def roboflow_coco_unpacked(folder):
    train = coco([f'a_jpg.rf.{HASH}.jpg'], [(0, 1)], root=True)
    valid = coco([f'c_png.rf.{HASH}.jpg'], [(0, 2)], root=True)
    put(folder, 'train/_annotations.coco.json', train)
    put(folder, 'valid/_annotations.coco.json', valid)
    put(folder, 'README.roboflow.txt', 'An export.')
    return folder


@case('roboflow', 'YOLO labels', {'a.jpg': ['dog'], 'b.jpg': []})
def roboflow_yolo_unpacked(folder):
    put(folder, 'data.yaml', "train: ../train/images\nnc: 2\nnames: ['cat', "
        "'dog']\nroboflow:\n  workspace: me\n")  # fmt: skip
    put(folder, f'train/labels/a_jpg.rf.{HASH}.txt', '1 0.5 0.5 0.1 0.1\n')
    put(folder, f'valid/labels/b_jpg.rf.{HASH}.txt', '')
    put(folder, 'README.dataset.txt', '# pets > 2024\n')
    return folder


@case('roboflow', 'YOLO labels', {'sub/d.jpg': ['no', 'yes'], 'a.jpg': ['no']})
def yolo_segments_in_folders(folder):
    put(folder, 'data.yaml', 'path: .\nnames:\n  0: yes\n  1: no\n')
    put(folder, 'labels/train/sub/d.txt',
        '0 0.1 0.1 0.2 0.1 0.2 0.2\n1 0.1 0.1 0.2 0.1 0.2 0.2\n')  # fmt: skip
    put(folder, 'labels/val/a.txt', '1 0.1 0.1 0.2 0.1 0.2 0.2\n')
    return folder / 'data.yaml'


@case('roboflow', '', 'put classes.txt')
def yolo_without_names(folder):
    put(folder, 'labels/a.txt', '0 0.5 0.5 0.1 0.1\n')
    return folder / 'labels'


@case('roboflow', '', 'there is no class 2')
def yolo_with_an_id_beyond_the_names(folder):
    put(folder, 'a.txt', '2 0.5 0.5 0.1 0.1\n')
    put(folder, 'classes.txt', 'cat\ndog\n')
    return folder


@case('roboflow', 'table', {'a.jpg': ['cat'], 'b.jpg': ['cat', 'hot dog']})
def roboflow_one_hot(folder):
    text = (
        'filename, cat, hot dog\n'
        f'a_jpg.rf.{HASH}.jpg, 1, 0\nb_jpg.rf.{HASH}.jpg, 1, 1\n'
    )
    return put(folder, 'train/_classes.csv', text).parents[1]


@case('roboflow', '', 'is there twice')
def coco_merged_by_hand(folder):
    data = coco(['a.jpg', 'b.jpg'], [(0, 0)])
    data['images'][1]['id'] = 0
    return put(folder, 'merged.json', data)


# Spreadsheets


@case('sheet', 'table', {'a.jpg': ['cat', 'dog'], 'b.jpg': ['dog']})
def sheet_of_german_excel(folder):
    text = 'Bild;Etiketten\r\na.jpg;cat, dog\r\nb.jpg;dog\r\n'
    return put(folder, 'Mappe1.csv', text, 'utf-8-sig')


@case('sheet', 'table', {'a.jpg': ['cat'], 'b.jpg': ['dog']})
def sheet_as_unicode_text(folder):
    return put(folder, 't.txt', 'image\tlabel\na.jpg\tcat\nb.jpg\tdog\n',
               'utf-16')  # fmt: skip


@case('sheet', 'table', {'a.jpg': ['cat'], 'b.jpg': ['cat', 'dog']})
def sheet_with_crosses(folder):
    return put(folder, 'x.csv', 'photo,cat,dog\na.jpg,x,\nb.jpg,x,x\n')


@case('sheet', 'table', {'a.jpg': ['cat', 'dog'], 'über.jpg': ['dog']})
def sheet_with_a_row_for_each_pair(folder):
    text = 'file name,class\na.jpg,cat\na.jpg,dog\nu\u0308ber.jpg,dog\n'
    return put(folder, 'pairs.csv', text)


@case('sheet', 'table', {'a.jpg': ['cat'], 'b.jpg': ['dog']})
def sheet_with_more_columns(folder):
    text = (
        'id,date,image,width,label,confidence\n'
        '1,2024-01-01,a.jpg,640,cat,0.9\n2,2024-01-02,b.jpg,640,dog,0.8\n'
    )
    return put(folder, 'more.csv', text)


@case('sheet', '', 'CSV UTF-8')
def sheet_in_latin_1(folder):
    text = 'image,label\nüber.jpg,cat\n'
    return put(folder, 'latin.csv', text, 'latin-1')


@case('sheet', '', 'save it as "CSV UTF-8"')
def sheet_of_excel_itself(folder):
    return put(folder, 'labels.xlsx', 'PK\x03\x04')


@case('sheet', '', 'line 3')
def sheet_with_a_row_too_long(folder):
    return put(folder, 'l.csv', 'image,label\na.jpg,cat\nb.jpg,cat,dog\n')


# HuggingFace and FiftyOne


@case('hub', 'HuggingFace', {'a.jpg': ['cat'], 'b.jpg': ['hot dog']})
def hub_metadata_csv(folder):
    text = 'file_name,text,label\na.jpg,"A cat, asleep",cat\n'
    return put(folder, 'metadata.csv', f'{text}b.jpg,Food,hot dog\n')


@case('hub', 'HuggingFace', {'a.jpg': ['cat', 'dog'], 'b.jpg': []})
def hub_metadata_jsonl_in_folders(folder):
    lines = [
        {'file_name': 'a.jpg', 'labels': ['cat', 'dog']},
        {'file_name': 'b.jpg', 'labels': []},
    ]
    text = '\n'.join(map(json.dumps, lines))
    return put(folder, 'data/train/metadata.jsonl', text).parents[1]


@case('hub', 'HuggingFace', {'a.jpg': ['dog'], 'c.png': ['cat']})
def hub_ids_named_by_the_card(folder):
    put(folder, 'README.md', '---\ndataset_info:\n  features:\n'
        '  - name: image\n    dtype: image\n  - name: label\n    dtype:\n'
        "      class_label:\n        names:\n          '0': cat\n"
        "          '1': dog\n---\n# Pets\n")  # fmt: skip
    text = 'file_name,label\na.jpg,1\nc.png,0\n'
    return put(folder, 'metadata.csv', text)


@case('hub', '', 'an id, and no file names the classes')
def hub_ids_without_names(folder):
    lines = [{'file_name': 'a.jpg', 'label': 1}]
    return put(folder, 'metadata.jsonl', '\n'.join(map(json.dumps, lines)))


@case('hub', 'HuggingFace', {'a.jpg': ['dog', 'cat']}, ('cat', 'dog'))
def hub_objects(folder):
    boxes = {'bbox': [[1, 1, 2, 2], [3, 3, 4, 4]], 'categories': [1, 0]}
    line = {'file_name': 'a.jpg', 'objects': boxes}
    return put(folder, 'metadata.jsonl', json.dumps(line))


@case('hub', 'FiftyOne', {'a.jpg': ['dog'], 'b.jpg': ['cat']})
def hub_fiftyone_classification(folder):
    labels = {'a': 1, 'b': {'label': 0, 'confidence': 0.9}, 'c': None}
    data = {'classes': ['cat', 'dog'], 'labels': labels}
    return put(folder, 'labels.json', data)


@case('hub', 'FiftyOne', {'a.jpg': ['cat', 'dog'], 'b.jpg': []})
def hub_fiftyone_detections(folder):
    boxes = [
        {'label': i, 'bounding_box': [0.1, 0.1, 0.2, 0.2]} for i in (0, 1, 1)
    ]
    data = {'classes': ['cat', 'dog'], 'labels': {'a': boxes, 'b': []}}
    put(folder, 'labels.json', data)
    put(folder, 'data/a.jpg', '')
    return folder


@case('hub', 'FiftyOne', {'a.jpg': ['cat'], 'sub/d.jpg': ['dog']})
def hub_fiftyone_samples(folder):
    def sample(path, name):
        return {
            'filepath': path,
            'tags': ['train'],
            'ground_truth': {'_cls': 'Classification', 'label': name},
            'predictions': {
                '_cls': 'Detections',
                'detections': [{'label': 'lion', 'confidence': 0.5}],
            },
        }

    samples = [sample('data/a.jpg', 'cat'), sample('data/sub/d.jpg', 'dog')]
    return put(folder, 'samples.json', {'samples': samples})
