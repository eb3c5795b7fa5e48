import json

import pytest

from mmseg_weakclip.datasets.captions.formats import (
    CAPTION_FORMATS,
    read_captions,
)

COCO = dict(
    images=[dict(id=7, file_name='b.jpg'), dict(id=3, file_name='a.jpg')],
    annotations=[
        dict(id=1, image_id=3, caption='a cat'),
        dict(id=2, image_id=7, caption='a dog\n'),
        dict(id=3, image_id=3, caption='a "big" cat'),
    ],
)
KARPATHY = dict(
    dataset='coco',
    images=[
        dict(
            filepath='train2014',
            filename='a.jpg',
            split='train',
            sentences=[dict(raw='One.', tokens=['one']), dict(raw='Two.')],
        ),
        dict(
            filepath='val2014',
            filename='b.jpg',
            split='restval',
            sentences=[dict(raw='Three.')],
        ),
        dict(filename='c.jpg', split='val', sentences=[dict(raw='Four.')]),
    ],
)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return write


def pairs(path, format='auto', **options):
    return [entry[:2] for entry in read_captions(path, format, **options)]


def fails(message, path, *args, **options):
    with pytest.raises(ValueError, match=message) as caught:
        pairs(path, *args, **options)
    assert str(path) in str(caught.value)


def test_coco(write):
    path = write('captions.json', COCO)
    expected = [
        ('a.jpg', 'a cat'),
        ('b.jpg', 'a dog\n'),
        ('a.jpg', 'a "big" cat'),
    ]
    assert pairs(path) == pairs(path, 'coco') == expected


def test_coco_defects(write):
    two = dict(COCO, images=[*COCO['images'], dict(id=3, file_name='z.jpg')])
    fails(r'two images have the id 3, a\.jpg and z', write('two.json', two))
    lost = dict(COCO, images=COCO['images'][:1])
    fails(
        'annotation 0: the list of images has no 3', write('lost.json', lost)
    )
    annotations = [dict(image_id=3)]
    none = dict(COCO, annotations=annotations)
    fails("annotation 0: 'caption' is missing", write('none.json', none))
    annotations = [dict(image_id=3, caption=['a'])]
    many = dict(COCO, annotations=annotations)
    fails('annotation 0.*is a list', write('many.json', many))
    fails("no lists 'images'", write('other.json', {}), 'coco')


def test_karpathy(write):
    path = write('dataset_coco.json', KARPATHY)
    train = [('train2014/a.jpg', 'One.'), ('train2014/a.jpg', 'Two.')]
    rest = [('val2014/b.jpg', 'Three.')]
    assert pairs(path) == pairs(path, 'karpathy', split='train') == train
    assert pairs(path, split=('train', 'restval')) == train + rest
    assert pairs(path, split='val') == [('c.jpg', 'Four.')]


def test_karpathy_defects(write):
    path = write('dataset_coco.json', KARPATHY)
    fails(r"no split \['tset'\]; there are \['restval'", path, split='tset')
    twice = dict(images=KARPATHY['images'][:1] * 2)
    fails(r'image 1: train2014/a\.jpg .*twice', write('t.json', twice))
    bare = dict(images=[dict(filename='a.jpg', split='train')])
    fails("image 0: 'sentences' is missing", write('bare.json', bare))
    fails("with a 'split' each", write('coco.json', COCO), 'karpathy')


def test_mapping(write):
    path = write('captions.json', dict(x1='a cat', x0=['b', 'c']))
    expected = [('x1', 'a cat'), ('x0', 'b'), ('x0', 'c')]
    assert pairs(path) == pairs(path, 'json') == expected
    # Python's parser would take the last one.
    twice = '{"x1": "a",\n "x1": "b"}'
    fails("key 'x1' occurs twice", write('twice.json', twice))
    fails('image x1: 3 should be a text', write('number.json', dict(x1=3)))
    fails('holds a list', write('list.json', ['a']))


def test_broken_json(write):
    fails('line 2: broken JSON', write('cut.json', '{"a": "b",\n'))
    fails('not text in UTF-8', write('latin.json', b'{"a": "\xe9"}'))


def test_jsonl(write):
    lines = [
        dict(image='a.jpg', caption='a cat\u2028on a mat', width=3),
        dict(width=4, caption='tab\tin it', image='b.jpg'),
    ]
    path = write('x.jsonl', '\n\n'.join(map(json.dumps, lines)) + '\n')
    expected = [('a.jpg', 'a cat\u2028on a mat'), ('b.jpg', 'tab\tin it')]
    assert pairs(path) == pairs(path, 'jsonl') == expected
    # U+2028 ends no line, although str.splitlines says so.
    raw = '{"image": "a", "text": "b\u2028c"}'
    assert pairs(write('raw.jsonl', raw)) == [('a', 'b\u2028c')]
    line = dict(img='a', alt='b', caption='c')
    path = write('alt.jsonl', json.dumps(line))
    assert pairs(path, caption_column='alt') == [('a', 'b')]


def test_jsonl_defects(write):
    good = '{"image": "a", "caption": "b"}\n'
    fails('line 3: broken JSON', write('a.jsonl', good + good + '{"image":'))
    fails('line 2: not a JSON object', write('b.jsonl', good + '[1]'))
    fails(
        "line 2: 'caption' is missing",
        write('c.jsonl', good + '{"image": "a"}'),
    )
    fails('line 2.*is a NoneType', write('d.jsonl', good + '{"image": null}'))
    fails(r"columns \['a'\].*'image or filepath", write('e.jsonl', '{"a": 1}'))
    both = '{"path": "a", "image": "b", "caption": "c"}'
    fails('exactly one', write('f.jsonl', both))
    assert pairs(write('f.jsonl', both), image_column='path') == [('a', 'c')]


def test_tsv_with_header(write):
    text = 'id\tfilepath\ttitle\n1\ta.jpg\tsay "cat"\r\n\n2\tb.jpg\t\n'
    path = write('x.tsv', text)
    expected = [('a.jpg', 'say "cat"'), ('b.jpg', '')]
    assert pairs(path) == pairs(path, 'tsv') == expected
    path = write('own.tsv', 'words\tpicture\na cat\ta.jpg\n')
    options = dict(image_column='picture', caption_column='words')
    assert pairs(path, **options) == [('a.jpg', 'a cat')]
    fails(
        "'photo' should be exactly one",
        path,
        image_column='photo',
        caption_column='words',
    )


def test_tsv_of_cc3m(write):
    path = write('cc3m.tsv', 'a cat\tdir/a.jpg\na dog\tb.png\n')
    assert pairs(path) == [('dir/a.jpg', 'a cat'), ('b.png', 'a dog')]
    rows = ''.join(f'text {i}\thttp://x.y/{i}?a=b\n' for i in range(10002))
    path = write('urls.tsv', rows)
    fails(r'line 1: http://x\.y/0\?a=b is a URL', path)
    found = pairs(path, url_names='{folder:05d}/{row:09d}.jpg')
    assert found[0] == ('00000/000000000.jpg', 'text 0')
    assert found[9999] == ('00000/000009999.jpg', 'text 9999')
    assert found[10001] == ('00001/000010001.jpg', 'text 10001')


def test_tsv_defects(write):
    fails('is empty', write('none.tsv', '\n'))
    fails('line 3: expected 2 columns', write('a.tsv', 'a\tb\n\nc\n'))
    fails(r'line 2.*\[.c., .d., .e.\]', write('b.tsv', 'a\tb\nc\td\te'))
    fails('line 1.*an image among', write('c.tsv', 'a cat\t \n'))


def test_places_are_told(write):
    path = write('x.tsv', 'image\tcaption\na\tb\n\nc\td\n')
    assert [e.place for e in read_captions(path)] == ['line 2', 'line 4']
    path = write('x.json', dict(a='b'))
    assert next(read_captions(path)).place == 'image a'


def test_what_is_no_format(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        read_captions(tmp_path / 'none.json')
    path = write('x.txt', 'a\tb\n')
    fails('name its format', path)
    assert pairs(path, 'tsv') == [('b', 'a')]
    with pytest.raises(
        ValueError, match="Unknown caption format 'cvs'.*jsonl"
    ):
        read_captions(path, 'cvs')
    assert len(CAPTION_FORMATS) == 5
