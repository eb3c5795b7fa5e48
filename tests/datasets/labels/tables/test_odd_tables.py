"""Tables as people really have them: read rightly, or refused with a cure."""

import pytest

from mmseg_weakclip.apps.errors import UserError
from mmseg_weakclip.apps.wsss.inputs.classes import read_classes
from mmseg_weakclip.apps.wsss.inputs.labels import read_labelling
from mmseg_weakclip.datasets.labels.tables.options import (
    TableOptions,
    parse_table_options,
)

IMAGES = [f'a{i}.jpg' for i in range(1, 7)]
# Most tables here say the same.
CAT_DOG = {'a1': 'cat', 'a2': 'dog'}
BOTH = {'a1': 'cat,dog', 'a2': 'dog'}


@pytest.fixture
def read(tmp_path):
    def read_text(
        text, images=IMAGES, classes=None, encoding='utf-8', **options
    ):
        path = tmp_path / 'tags.csv'
        path.write_bytes(text.encode(encoding))
        labelling = read_labelling(
            path,
            images,
            read_classes(classes) if classes else None,
            parse_table_options(**options) if options else TableOptions(),
        )
        names = labelling.classes.names
        labels = {
            image.rpartition('.')[0]: ','.join(names[i] for i in ids)
            for image, ids in labelling.labels.items()
        }
        return labels, '; '.join(labelling.notes), labelling

    return read_text


COLUMNS = {
    'the names of files, not the numbers': (
        'labels,split,filename,id\ncat,train,a1.jpg,3\ndog,test,a2.jpg,1\n',
        "images in column 'filename', labels in 'labels'",
    ),
    'the header that says image': (
        'image,thumb,labels\na1.jpg,a2.jpg,cat\na2.jpg,a3.jpg,dog\n',
        "since it is called like it, not 2 ('thumb')",
    ),
    'no header, the first image absent': (
        'zz.jpg,cat\na1.jpg,cat\na2.jpg,dog\n',
        'no header',
    ),
    'an index of pandas': (
        ',image,cat,dog\n0,a1.jpg,1,0\n1,a2.jpg,0,1\n',
        "not read: 1 ('')",
    ),
    'two tables behind each other': (
        'image,labels\na1.jpg,cat\nimage,labels\na2.jpg,dog\n',
        'repeat the header',
    ),
    'words for nothing': (
        'image,labels\na1.jpg,cat\na2.jpg,dog\na3.jpg,NaN\na4.jpg,N/A\n',
        "read as no label: 'NaN' (1x), 'N/A' (1x)",
    ),
    'numbers beside flags': (
        'image,width,height,cat,dog,conf\na1.jpg,96,80,1,0,0.5\n'
        'a2.jpg,96,80,0,1,0.7\n',
        "'width'), 3 ('height'), 6 ('conf')",
    ),
    'marks': ('image,cat,dog\na1.jpg,x,\na2.jpg,,x\n', ''),
    'ones and blanks': ('image,cat,dog\na1.jpg,1,\na2.jpg,,1\n', ''),
    'German flags': ('image,cat,dog\na1.jpg,ja,nein\na2.jpg,nein,ja\n', ''),
    '1 and -1': (
        'image,cat,dog\na1.jpg,1,-1\na2.jpg,-1,1\n',
        '-1 is read as absent',
    ),
    'dummies of pandas': (
        'image,label_cat,label_dog\na1.jpg,True,False\na2.jpg,False,True\n',
        "'label' in front of every class is left out",
    ),
    "Roboflow's": (
        'filename, cat, dog\na1_jpg.rf.0123abc.jpg, 1, 0\n'
        'a2_jpg.rf.9123abc.jpg, 0, 1\n',
        "Roboflow's suffix",
    ),
    'a column for the background': (
        'image,background,cat,dog\na1.jpg,1,1,0\na2.jpg,1,0,1\n',
        "read as no label: 'background'",
    ),
    'boxes without a header': (
        'photos/a1.jpg,1,2,3,4,cat\nphotos/a2.jpg,1,2,3,4,dog\n',
        'labels in 6',
    ),
    'flags beside names': (
        'image,breed,verified\na1.jpg,cat,1\na2.jpg,dog,0\n',
        "not read: 3 ('verified')",
    ),
}


@pytest.mark.parametrize('name', COLUMNS)
def test_columns(read, name):
    text, note = COLUMNS[name]
    labels, notes, _ = read(text)
    assert labels == CAT_DOG
    assert note in notes


@pytest.mark.parametrize(
    'text',
    [
        'sep=;\nfile;tags\na1.jpg;cat,dog\na2.jpg;dog\n',
        '图片,标签\na1.jpg,cat，dog\na2.jpg,dog\n',
        'image,label\na1.jpg,cat#dog\na2.jpg,dog\n',
        'image,choice\na1.jpg,"{""choices"": [""cat"", ""dog""]}"\n'
        'a2.jpg,dog\n',
        'image,label\na1.jpg,"[{""x"": 1, ""rectanglelabels"": [""cat""]}, '
        '{""rectanglelabels"": [""dog""]}]"\na2.jpg,"[""dog""]"\n',
        "image,labels\na1.jpg,\"['cat', 'dog']\"\na2.jpg,{'dog'}\na3.jpg,[]\n",
        'image,labels\na1.jpg,"[cat, dog]"\na2.jpg,[dog]\n',
        'image,labels\na1.jpg,"{""cat"": true, ""dog"": 1}"\n'
        'a2.jpg,"{""cat"": 0, ""dog"": true}"\n',
        'image,labels\na1.jpg,"cat\ndog"\na2.jpg,dog\n',
        'image,labels\na1.jpg,cat\u200b\u00a0; dog\na2.jpg,dog\n',
        'image,label1,label2\na1.jpg,cat,dog\na2.jpg,dog,\n',
        'a1.jpg cat dog\na2.jpg dog\n',
        'filename,width,height,class,xmin,ymin,xmax,ymax\n'
        'a1.jpg,96,80,cat,1,2,3,4\na1.jpg,96,80,dog,1,2,3,4\n'
        'a2.jpg,96,80,dog,1,2,3,4\n',
    ],
)
def test_cells(read, text):
    assert read(text)[0] == BOTH


def test_numbers_as_names(read):
    labels, _, labelling = read('image,labels\na1.jpg,0;1\na2.jpg,1\n')
    assert labels == {'a1': '0,1', 'a2': '1'}
    assert labelling.classes.names[1:] == ('0', '1')


def test_urls(read):
    text = 'image,labels\nhttps://x.org/p/b%C3%A4r.jpg?w=1,cat\n'
    labels, notes, _ = read(text, ['bär.jpg'])
    assert labels == {'bär': 'cat'}
    assert 'the rest of the URL' in notes


def test_spreadsheets_of_other_encodings(read):
    text = 'file\ttags\na1.jpg\tcat\na2.jpg\tdog\n'
    for encoding in ('utf-16', 'utf-8-sig'):
        assert read(text, encoding=encoding)[0] == CAT_DOG


def test_an_all_blank_class_stays(read):
    text = 'image,cat,bird,dog\na1.jpg,x,,\na2.jpg,,,x\n'
    labels, _, labelling = read(text)
    assert labels == CAT_DOG
    assert labelling.classes.names[1:] == ('cat', 'bird', 'dog')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'x,y,labels\na1.jpg,a2.jpg,cat\na2.jpg,a3.jpg,dog\n',
            r"'x'\) and 2 \('y'\) both name images.*--image-column",
        ),
        (
            'image,cat\na1.jpg,1\na2.jpg,0\n',
            r"is 'cat' a class.*--layout one-hot.*--layout list",
        ),
        ('a1.jpg,1,0\na2.jpg,0,1\n', 'no header: put one on top'),
        (
            'image,labels\na1.jpg,"[1, 0]"\na2.jpg,"[0, 1]"\n',
            r"line 2: the cell '\[1, 0\]' lists numbers.*write class names",
        ),
        (
            'image,labels\na1.jpg,"[""cat"", ""dog"""\na2.jpg,cat\n',
            'line 2: the class name .*piece of syntax',
        ),
        ('image,labels\na1.jpg,cat:0.9;dog:0.1\n', 'cat:0.9.*syntax'),
        ('image,labels\na1.jpg,2x cat\n', "'2x cat'.*syntax"),
        ('image,labels\na1.jpg,a2.jpg\n', "'a2.jpg'.*syntax"),
        (
            'image,labels\na1.jpg,"{""mood"": ""sad""}"\n',
            'without class names',
        ),
        (
            'image,labels\na1.jpg,scab rust\na2.jpg,scab\na3.jpg,rust\n',
            r"'scab rust' may be one class or 2.*--separator ' '",
        ),
        (
            'image,labels\na1.jpg,cat/dog\na2.jpg,dog\n',
            "'cat/dog' may be one class or 2.*--separator '/'",
        ),
        (
            'image,labels\na1.jpg,cat and dog\na2.jpg,dog\n',
            "'cat and dog' may be one class or 2",
        ),
        (
            'image,cat,dog\na1.jpg,1,0\na2.jpg,0,2\n',
            r"line 3: column 3 \('dog'\) holds '2'; .*0 or 1",
        ),
        (
            'image,cat,dog\na1.jpg,0.9,0.1\na2.jpg,0.2,0.8\n',
            "line 2: .*holds '0.9'; .*0 or 1",
        ),
        (
            'image,cat,dog\na1.jpg,1,0\na2.jpg,,1\n',
            r"line 3: column 2 \('cat'\) holds a blank beside 0",
        ),
        (
            'image,cat,dog,train\na1.jpg,1,0,1\na2.jpg,0,1,0\n',
            r"'train'\) holds 0 and 1.*--label-columns cat,dog",
        ),
        (
            'image,cat,dog\na1.jpg,1,0\na1.jpg,0,1\n',
            "line 3: image 'a1.jpg' has two different rows.*line 2",
        ),
        ('image,cat,cat\na1.jpg,1,0\na2.jpg,0,1\n', "two columns.*'cat'"),
        (
            'image,breed,species\na1.jpg,pug,dog\na2.jpg,tabby,cat\n',
            r"'breed'\) with text such as pug/tabby, 3 \('species'",
        ),
        ('a1.jpg\na2.jpg\n', 'a single column.*--delimiter'),
        ('image,labels\na1.jpg,cat,dog\n', 'line 2: 3 cells.*line 1 has 2'),
        ('image,labels\n,cat\na1.jpg,cat\n', 'line 2: the cell of the image'),
        ('image,labels\na1.jpg,\n', 'names no class'),
    ],
)
def test_refused_with_a_cure(read, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(text)
    assert 'tags.csv' in str(caught.value)
    assert '\n' not in str(caught.value)


TWO = 'x,y,labels\na1.jpg,a2.jpg,cat\na2.jpg,a1.jpg,dog\n'
FLAG = 'image,cat\na1.jpg,1\na2.jpg,0\n'
RUST = 'image,labels\na1.jpg,scab rust\na2.jpg,scab\na3.jpg,rust\n'
TRAIN = 'image,cat,dog,train\na1.jpg,1,0,1\na2.jpg,0,1,0\n'


@pytest.mark.parametrize(
    ('text', 'options', 'labels'),
    [
        (TWO, dict(image_column='y'), {'a2': 'cat', 'a1': 'dog'}),
        (TWO, dict(image_column='1'), CAT_DOG),
        (FLAG, dict(layout='one-hot'), {'a1': 'cat'}),
        (FLAG, dict(layout='list'), {'a1': '1', 'a2': '0'}),
        (TRAIN, dict(label_columns='cat,dog'), CAT_DOG),
        (
            'image,breed,species\na1.jpg,pug,cat\na2.jpg,tabby,dog\n',
            dict(label_columns='Species'),
            CAT_DOG,
        ),
        (
            RUST,
            dict(separator='space'),
            {'a1': 'rust,scab', 'a2': 'scab', 'a3': 'rust'},
        ),
        (
            RUST,
            dict(separator=';'),
            {'a1': 'scab rust', 'a2': 'scab', 'a3': 'rust'},
        ),
        (
            'image:labels\na1.jpg:cat\na2.jpg:dog\n',
            dict(delimiter=':'),
            CAT_DOG,
        ),
    ],
)
def test_options_settle_it(read, text, options, labels):
    assert read(text, **options)[0] == labels


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(image_column='path'), "'path' is not a column; the columns are"),
        (dict(image_column='9'), "'9' is not a column"),
        (dict(label_columns='image'), 'both the column of images and'),
        (dict(delimiter=';;'), 'not one sign'),
        (dict(separator=''), '--separator is empty'),
    ],
)
def test_wrong_options(read, options, message):
    with pytest.raises((UserError, ValueError), match=message):
        read('image,labels\na1.jpg,cat\n', **options)


def test_known_classes_settle_it(read):
    assert read(RUST, classes='rust,scab')[0]['a1'] == 'rust,scab'
    found = read(RUST, classes='rust,scab,scab rust')[0]
    assert found['a1'] == 'scab rust'
    assert read(TRAIN, classes='cat,dog,train')[0]['a1'] == 'cat,train'
    text = 'image,labels\na1.jpg,none\na2.jpg,cat\n'
    assert read(text, classes='cat,none')[0]['a1'] == 'none'
