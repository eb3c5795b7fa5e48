import json

import numpy as np
import pytest
from PIL import Image

CLASSES = 'cat,dog,bird'
EXPECTED = {'a': ['cat', 'bird'], 'b': ['dog'], 'c': []}


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('dataset_converters/image_labels.py')


def write_npy(path):
    hot = {'a': [1, 0, 1], 'b': [0, 1, 0], 'c': [0, 0, 0]}
    np.save(path / 'source.npy', {k: np.array(v) for k, v in hot.items()})
    return path / 'source.npy'


def write_json(path):
    (path / 'source.json').write_text(json.dumps(EXPECTED))
    return path / 'source.json'


def write_csv(path):
    lines = [f'{k},{";".join(v)}' for k, v in EXPECTED.items()]
    (path / 'source.csv').write_text('\n'.join(lines))
    return path / 'source.csv'


def write_txt(path):
    for image_id, names in EXPECTED.items():
        (path / f'{image_id}.txt').write_text('\n'.join(names))
    return path


def write_xml(path):
    for image_id, names in EXPECTED.items():
        objects = ''.join(f'<object><name>{n}</name></object>' for n in names)
        (path / f'{image_id}.xml').write_text(
            f'<annotation>{objects}</annotation>'
        )
    return path


def write_coco(path):
    names = CLASSES.split(',')
    ids = list(EXPECTED)
    data = dict(
        images=[dict(id=i, file_name=f'{k}.jpg') for i, k in enumerate(ids)],
        categories=[dict(id=i, name=n) for i, n in enumerate(names)],
        annotations=[
            dict(image_id=i, category_id=names.index(name))
            for i, image_id in enumerate(ids)
            for name in EXPECTED[image_id]
        ],
    )
    (path / 'source.json').write_text(json.dumps(data))
    return path / 'source.json'


def write_clip_es(path):
    names = CLASSES.split(',')
    lines = [
        ' '.join([k, *(str(names.index(n)) for n in v)])
        for k, v in EXPECTED.items()
    ]
    (path / 'source.txt').write_text('\n'.join(lines))
    return path / 'source.txt'


def write_masks(path):
    names = CLASSES.split(',')
    for image_id, shown in EXPECTED.items():
        mask = np.zeros((4, 5), np.uint8)
        for row, name in enumerate(shown):
            mask[row, : 2 + row] = 1 + names.index(name)
        Image.fromarray(mask).save(path / f'{image_id}.png')
    return path


WRITERS = [
    write_npy,
    write_json,
    write_csv,
    write_txt,
    write_xml,
    write_coco,
    write_clip_es,
    write_masks,
]


@pytest.mark.parametrize('write', WRITERS)
def test_every_source_gives_the_same_file(tool, tmp_path, write, capsys):
    folder = tmp_path / 'source'
    folder.mkdir()
    out = tmp_path / 'labels.json'
    tool.main([str(write(folder)), '--classes', CLASSES, '--out', str(out)])
    data = json.loads(out.read_text())
    assert data == {'classes': CLASSES.split(','), 'labels': EXPECTED}
    printed = capsys.readouterr().out
    assert '3 images, 1 of them without any label' in printed
    assert 'labels.json' in printed


@pytest.mark.parametrize('write', WRITERS)
def test_list_restricts_the_images(tool, tmp_path, write, capsys):
    folder = tmp_path / 'source'
    folder.mkdir()
    source = str(write(folder))
    ids = tmp_path / 'ids.txt'
    ids.write_text('/JPEGImages/b.jpg /Masks/b.png\na\nb\n')
    out = tmp_path / 'labels.json'
    arguments = [source, '--classes', CLASSES, '--ids', str(ids)]
    tool.main([*arguments, '--out', str(out)])
    assert set(json.loads(out.read_text())['labels']) == {'a', 'b'}
    out.unlink()
    ids.write_text('a\nz\n')
    with pytest.raises(SystemExit, match='z'):
        tool.main([*arguments, '--out', str(out)])
    assert not out.exists()


def test_options_reach_the_readers(tool, tmp_path):
    out = tmp_path / 'labels.json'
    folder = tmp_path / 'masks'
    folder.mkdir()
    write_masks(folder)
    rest = ['--classes', CLASSES, '--out', str(out)]
    tool.main([str(folder), *rest, '--min-pixels', '3'])
    assert json.loads(out.read_text())['labels']['a'] == ['bird']
    xml = tmp_path / 'xml'
    xml.mkdir()
    (xml / 'a.xml').write_text(
        '<annotation><object><name>cat</name><difficult>1</difficult>'
        '</object></annotation>'
    )
    tool.main([str(xml), *rest])
    assert json.loads(out.read_text())['labels']['a'] == ['cat']
    tool.main([str(xml), *rest, '--no-difficult'])
    assert json.loads(out.read_text())['labels']['a'] == []
    coco = tmp_path / 'coco'
    coco.mkdir()
    source = write_coco(coco)
    data = json.loads(source.read_text())
    data['annotations'][0]['iscrowd'] = 1
    source.write_text(json.dumps(data))
    # Also where the format is left to be found.
    tool.main([str(source), *rest, '--no-crowd'])
    assert json.loads(out.read_text())['labels']['a'] == ['bird']


def test_errors_are_one_line_and_keep_the_old_file(tool, tmp_path):
    out = tmp_path / 'labels.json'
    out.write_text('old')
    source = tmp_path / 'source.csv'
    source.write_text('a,catt\n')
    with pytest.raises(SystemExit, match=r"error: .*'catt'.*nearest: cat"):
        tool.main([str(source), '--classes', CLASSES, '--out', str(out)])
    with pytest.raises(SystemExit, match='error: .*gone'):
        tool.main([str(tmp_path / 'gone.npy'), '--out', str(out)])
    assert out.read_text() == 'old'
