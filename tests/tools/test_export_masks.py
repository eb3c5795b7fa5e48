"""tools/export_masks.py on masks drawn by hand, read back."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from mmseg_weakclip.common.masks import encode_mask

CLASSES = ('cat', 'rode katze', 'ö')
SIZE = (24, 31)
FORMATS = ('coco-instances', 'coco-panoptic', 'yolo-seg')


def make_masks():
    """By id: two objects of a class, a hole, the border, nothing."""
    pair = np.zeros(SIZE, np.uint8)
    pair[2:5, 3:9] = pair[10:20, 5:7] = 1
    ring = np.zeros(SIZE, np.uint8)
    ring[4:20, 6:25] = 3
    ring[8:12, 10:14] = 0
    ring[9, 11] = 2
    border = np.full(SIZE, 2, np.uint8)
    border[0, 0] = 0
    border[5:9] = 255
    return {
        'a b': pair,
        'ring': ring,
        'über': border,
        'leer': np.zeros(SIZE, np.uint8),
    }


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('export_masks.py')


@pytest.fixture
def masks():
    return make_masks()


@pytest.fixture
def folder(tmp_path, masks):
    """Masks, images, and a list of classes."""
    for name in ('seeds/masks', 'images'):
        (tmp_path / name).mkdir(parents=True)
    for name, mask in masks.items():
        path = tmp_path / f'seeds/masks/{name}.png'
        path.write_bytes(encode_mask(mask, [[0, 0, 0], [9, 9, 9]]))
        picture = Image.new('RGB', SIZE[::-1], (10, 20, 30))
        picture.save(tmp_path / f'images/{name}.jpeg')
    lines = '\n'.join(['background', *CLASSES])
    (tmp_path / 'classes.txt').write_text(lines, encoding='utf-8')
    return tmp_path


@pytest.fixture
def run(tool, folder):
    def run(*options, out='out', images=True):
        paths = ('--images', folder / 'images') if images else ()
        arguments = (
            *(folder / 'seeds', folder / out),
            *('--classes', folder / 'classes.txt', '--workers', '0'),
            *(*paths, *options),
        )
        return tool.main([str(argument) for argument in arguments])

    return run


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def fill(flat, supersample=8):
    """Pixels most of which a polygon covers, drawn large by PIL."""
    size = tuple(side * supersample for side in SIZE[::-1])
    image = Image.new('1', size)
    points = [tuple(p) for p in np.reshape(flat, (-1, 2)) * supersample]
    ImageDraw.Draw(image).polygon(points, fill=1)
    cells = np.asarray(image).reshape(
        SIZE[0], supersample, SIZE[1], supersample
    )
    return cells.mean((1, 3)) > 0.5


def without_ignored(mask):
    return np.where(mask == 255, 0, mask)


def test_instances(run, folder, masks):
    assert run('--format', 'coco-instances') == 0
    content = read(folder / 'out/annotations/instances.json')
    assert [image['file_name'] for image in content['images']] == [
        'a b.jpeg',
        'leer.jpeg',
        'ring.jpeg',
        'über.jpeg',
    ]
    assert all(
        (image['height'], image['width']) == SIZE
        for image in content['images']
    )
    assert [(c['id'], c['name']) for c in content['categories']] == list(
        enumerate(CLASSES, 1)
    )
    entries = content['annotations']
    assert [entry['id'] for entry in entries] == list(
        range(1, len(entries) + 1)
    )
    first, second = (e for e in entries if e['image_id'] == 1)
    assert first['bbox'] == [3, 2, 6, 3]
    assert first['area'] == 18
    assert second['bbox'] == [5, 10, 2, 10]
    assert not [e for e in entries if e['image_id'] == 2]
    assert {e['category_id'] for e in entries if e['image_id'] == 3} == {2, 3}
    assert {e['iscrowd'] for e in entries} == {0}


@pytest.mark.parametrize('kind', ['rle', 'compressed-rle'])
@pytest.mark.parametrize('regions', ['component', 'class'])
def test_run_lengths_give_the_masks_back(run, folder, masks, kind, regions):
    library = pytest.importorskip('pycocotools.mask')
    options = ('--segmentation', kind, '--regions', regions)
    assert run('--format', 'coco-instances', *options) == 0
    content = read(folder / 'out/annotations/instances.json')
    found = {
        image['id']: np.zeros(SIZE, np.uint8) for image in content['images']
    }
    for entry in content['annotations']:
        runs = entry['segmentation']['counts']
        assert isinstance(runs, list) == (kind == 'rle')
        encoded = entry['segmentation']
        if kind == 'rle':
            encoded = library.frPyObjects(encoded, *encoded['size'])
        pixels = library.decode(encoded).astype(bool)
        assert pixels.sum() == entry['area']
        found[entry['image_id']][pixels] = entry['category_id']
    for image in content['images']:
        expected = without_ignored(masks[image['file_name'][:-5]])
        assert np.array_equal(found[image['id']], expected)


def test_polygons_give_the_masks_back(run, folder, masks):
    assert run('--format', 'coco-instances', '--regions', 'class') == 0
    content = read(folder / 'out/annotations/instances.json')
    found = {
        image['id']: np.zeros(SIZE, np.uint8) for image in content['images']
    }
    for entry in content['annotations']:
        for ring in entry['segmentation']:
            found[entry['image_id']][fill(ring)] = entry['category_id']
    # A foreign rasteriser, whose lines have width: all but few pixels.
    for image in content['images']:
        expected = without_ignored(masks[image['file_name'][:-5]])
        same = (found[image['id']] == expected).mean()
        assert same > 0.99, image


def test_panoptic(run, folder, masks):
    assert run('--format', 'coco-panoptic') == 0
    content = read(folder / 'out/annotations/panoptic.json')
    assert {c['isthing'] for c in content['categories']} == {1}
    pictures = folder / 'out/annotations/panoptic'
    assert {p.stem for p in pictures.iterdir()} == set(masks)
    for entry in content['annotations']:
        colors = np.asarray(Image.open(pictures / entry['file_name']))
        ids = colors.astype(int) @ [1, 256, 65536]
        mask = without_ignored(masks[entry['file_name'][:-4]])
        found = np.zeros_like(mask)
        for segment in entry['segments_info']:
            own = ids == segment['id']
            assert own.sum() == segment['area']
            left, top, width, height = segment['bbox']
            box = own[top : top + height, left : left + width]
            assert box.sum() == own.sum()
            assert box.any(0).all()
            found[own] = segment['category_id']
        assert np.array_equal(found, mask)
        listed = {segment['id'] for segment in entry['segments_info']}
        assert len(listed) == len(entry['segments_info'])
        assert set(np.unique(ids)) <= listed | {0}


def test_yolo(run, folder, masks):
    ids = folder / 'val.txt'
    ids.write_text('über\nring\n', encoding='utf-8')
    options = ('--val', ids, '--link', 'copy')
    assert run('--format', 'yolo-seg', *options) == 0
    out = folder / 'out'
    description = yaml.safe_load((out / 'data.yaml').read_text('utf-8'))
    assert description == dict(
        train='images/train',
        val='images/val',
        names=dict(enumerate(CLASSES)),
    )
    for split, names in (
        ('train', {'a b', 'leer'}),
        ('val', {'ring', 'über'}),
    ):
        images = {p.name for p in (out / 'images' / split).iterdir()}
        assert images == {f'{name}.jpeg' for name in names}
        for name in names:
            text = (out / 'labels' / split / f'{name}.txt').read_text()
            found = np.zeros(SIZE, np.uint8)
            for line in text.splitlines():
                number, *shares = line.split()
                points = np.array(shares, float).reshape(-1, 2)
                assert points.min() >= 0
                assert points.max() <= 1
                found[fill((points * SIZE[::-1]).ravel())] = int(number) + 1
            same = found == without_ignored(masks[name])
            assert same.mean() > 0.99, name
            assert bool(text) == (name != 'leer')


def test_symlinks_and_names_without_images(run, folder):
    assert run('--format', 'coco-instances', '--link', 'symlink') == 0
    link = folder / 'out/images/a b.jpeg'
    assert link.is_symlink()
    assert link.read_bytes() == (folder / 'images/a b.jpeg').read_bytes()
    assert run('--format', 'coco-instances', out='other', images=False) == 0
    content = read(folder / 'other/annotations/instances.json')
    assert content['images'][0]['file_name'] == 'a b.jpg'


def test_the_same_twice_and_with_processes(run, folder):
    for out, workers in (('one', '0'), ('two', '2')):
        options = ('--format', 'coco-instances', '--workers', workers)
        assert run(*options, out=out) == 0
    one, two = (
        (folder / out / 'annotations/instances.json').read_bytes()
        for out in ('one', 'two')
    )
    assert one == two


def test_min_area(run, folder):
    assert run('--format', 'coco-instances', '--min-area', '20') == 0
    content = read(folder / 'out/annotations/instances.json')
    assert min(entry['area'] for entry in content['annotations']) == 20
    assert len(content['images']) == 4


def test_classes_of_a_config(tool, folder, repo):
    config = repo / 'configs/toyland/segmenter.py'
    arguments = [folder / 'seeds', folder / 'out', '--config', config]
    options = ['--format', 'coco-instances', '--workers', '0']
    assert tool.main([*map(str, arguments), *options]) == 0
    names = read(folder / 'out/annotations/instances.json')['categories']
    assert [(c['id'], c['name']) for c in names][:2] == [
        (1, 'boat'),
        (2, 'car'),
    ]


def test_without_a_background_ids_start_at_0(tool, folder):
    config = folder / 'config.py'
    config.write_text(
        "test_dataloader = dict(dataset=dict(type='WeakSegDataset', "
        "metainfo=dict(classes=('w', 'x', 'y', 'z'))))"
    )
    arguments = [folder / 'seeds', folder / 'out', '--config', config]
    options = ['--format', 'coco-panoptic', '--workers', '0']
    assert tool.main([*map(str, arguments), *options]) == 0
    content = read(folder / 'out/annotations/panoptic.json')
    (segment,) = content['annotations'][1]['segments_info']
    assert segment['area'] == SIZE[0] * SIZE[1]
    assert segment['category_id'] == content['categories'][0]['id'] == 1


@pytest.mark.parametrize('form', FORMATS)
def test_bad_masks_and_images(run, folder, masks, form, capsys):
    def error(out):
        assert run('--format', form, out=out) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith('error: ')
        # What is last is missing: the folder is not whole.
        for name in ('data.yaml', 'annotations/instances.json'):
            assert not (folder / out / name).exists()
        return lines[-1]

    path = folder / 'seeds/masks/ring.png'
    path.write_bytes(encode_mask(masks['ring'] + 1, [[0] * 3]))
    assert 'ring.png has ids [4]' in error('one')
    path.write_bytes(encode_mask(masks['ring'][:-1], [[0] * 3]))
    assert '23 x 31 (height x width), its image' in error('two')
    path.write_bytes(b'no image')
    assert 'ring.png is damaged' in error('three')
    (folder / 'images/ring.jpeg').unlink()
    message = error('four')
    assert 'no image of 1 of 4 masks' in message
    assert 'ring.png' in message


def test_an_image_may_not_be_two(run, folder, capsys):
    Image.new('RGB', SIZE[::-1]).save(folder / 'images/ring.png')
    assert run('--format', 'coco-instances') == 2
    error = capsys.readouterr().err
    assert 'ring.jpeg or of' in error
    assert 'ring.png' in error


def test_unknown_validation_id(run, folder, capsys):
    (folder / 'val.txt').write_text('ring\nnobody\n')
    assert run('--format', 'yolo-seg', '--val', folder / 'val.txt') == 2
    assert "the first is 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--format', 'yolo-seg', '--regions', 'class'), 'needs --regions'),
        (('--format', 'coco-panoptic', '--val', 'x'), '--val needs'),
    ],
)
def test_wrong_use(run, options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_links_need_images(run, capsys):
    with pytest.raises(SystemExit):
        run('--format', 'yolo-seg', '--link', 'copy', images=False)
    assert '--link needs --images' in capsys.readouterr().err


def test_a_folder_that_is_there(run, folder, capsys):
    assert run('--format', 'yolo-seg') == 0
    for state in ('files, with ', 'files, but without '):
        with pytest.raises(SystemExit):
            run('--format', 'yolo-seg')
        assert state in capsys.readouterr().err
        (folder / 'out/data.yaml').unlink(missing_ok=True)
