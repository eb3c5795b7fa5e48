"""tools/export_masks.py on masks drawn by hand, read back."""

import importlib.util
import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageDraw

from mmseg_weakclip.common.masks import encode_mask
from mmseg_weakclip.datasets.labels.content import ReadOptions
from mmseg_weakclip.datasets.labels.formats import read_label_file
from mmseg_weakclip.datasets.labels.matching import ImageFinder
from mmseg_weakclip.pseudo_masks.store import save_scores

CLASSES = ('cat', 'rode katze', 'ö')
SIZE = (24, 31)
FORMATS = ('coco-instances', 'coco-panoptic', 'yolo-seg', 'cvat',
           'label-studio', 'labelme')  # fmt: skip
LAST = ('data.yaml', 'annotations/instances.json', 'annotations.xml',
        'tasks.json', 'labels.txt')  # fmt: skip


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
        for name in LAST:
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


# Formats for annotators


def expected_names(masks):
    return {
        name: {CLASSES[i - 1] for i in np.unique(mask) if i not in (0, 255)}
        for name, mask in masks.items()
    }


def names_read(path):
    """Classes by image, as our own readers read them."""
    images = ImageFinder(f'{name}.jpeg' for name in make_masks())
    file = read_label_file(path, ReadOptions(finder=images))
    found = {}
    for row in file.rows:
        image = images.find(row.image, row.place)
        found.setdefault(image[:-5], set()).update(row.names)
    return file, found


@pytest.mark.parametrize('regions', ['component', 'class'])
@pytest.mark.parametrize('kind', ['polygons', 'rle'])
def test_cvat(run, folder, masks, kind, regions):
    options = ('--segmentation', kind, '--regions', regions)
    assert run('--format', 'cvat', '--link', 'copy', *options) == 0
    out = folder / 'out'
    assert {p.stem for p in (out / 'images').iterdir()} == set(masks)
    labels = read(out / 'cvat_labels.json')
    assert [label['name'] for label in labels] == list(CLASSES)
    for path in (out / 'annotations.xml', out):
        file, found = names_read(path)
        assert file.kind == 'CVAT XML'
        assert file.classes == CLASSES
        assert found == expected_names(masks)
    root = ElementTree.parse(out / 'annotations.xml').getroot()
    images = root.findall('image')
    assert [image.get('id') for image in images] == list('0123')
    for image in images:
        assert (image.get('height'), image.get('width')) == ('24', '31')
        mask = without_ignored(masks[image.get('name')[:-5]])
        found = np.zeros(SIZE, np.uint8)
        for shape in image:
            number = CLASSES.index(shape.get('label')) + 1
            assert shape.get('source') == 'auto'
            found[cvat_pixels(shape)] = number
        exact = kind == 'rle'
        assert (found == mask).mean() > (1 - 1e-9 if exact else 0.99)


def cvat_pixels(shape):
    if shape.tag == 'polygon':
        points = shape.get('points').replace(';', ',').split(',')
        return fill(np.array(points, float))
    # Row by row in the box, background first.
    runs = [int(run) for run in shape.get('rle').split(',')]
    values = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool)
    left, top, width, height = (
        int(shape.get(key)) for key in ('left', 'top', 'width', 'height')
    )
    pixels = np.zeros(SIZE, bool)
    box = values.reshape(height, width)
    pixels[top : top + height, left : left + width] = box
    return pixels


@pytest.mark.parametrize('kind', ['polygons', 'rle'])
def test_label_studio(run, folder, masks, kind):
    options = ('--segmentation', kind, '--image-url', 's3://bucket/x/')
    assert run('--format', 'label-studio', *options) == 0
    tasks = read(folder / 'out/tasks.json')
    urls = [task['data']['image'] for task in tasks]
    assert urls[0] == 's3://bucket/x/a%20b.jpeg'
    config = ElementTree.parse(folder / 'out/labeling_config.xml').getroot()
    (control,) = (element for element in config if element.tag != 'Image')
    assert [label.get('value') for label in control] == list(CLASSES)
    for task, name in zip(tasks, sorted(masks)):
        (prediction,) = task['predictions']
        assert 'score' not in prediction
        found = np.zeros(SIZE, np.uint8)
        for result in prediction['result']:
            assert result['type'] == control.tag.lower()
            assert result['from_name'] == control.get('name')
            assert result['to_name'] == control.get('toName') == 'image'
            size = result['original_height'], result['original_width']
            assert size == SIZE
            value = result['value']
            (label,) = value[result['type']]
            found[studio_pixels(value)] = CLASSES.index(label) + 1
        ids = [result['id'] for result in prediction['result']]
        assert len(set(ids)) == len(ids)
        mask = without_ignored(masks[name])
        exact = kind == 'rle'
        assert (found == mask).mean() > (1 - 1e-9 if exact else 0.99), name


def studio_pixels(value):
    if 'points' in value:
        assert value['closed']
        return fill((np.array(value['points']) / 100 * SIZE[::-1]).ravel())
    bits = ''.join(f'{byte:08b}' for byte in value['rle'])
    assert int(bits[:32], 2) == SIZE[0] * SIZE[1] * 4
    values, at = [], 53
    while len(values) < SIZE[0] * SIZE[1] * 4:
        width = (3, 4, 8, 16)[int(bits[at + 1 : at + 3], 2)]
        end = at + 3 + width
        length = int(bits[at + 3 : end], 2) + 1
        values += [int(bits[end : end + 8], 2)] * length
        at = end + 8
    return np.array(values).reshape(*SIZE, 4)[..., 3] == 255


def test_label_studio_is_read_once_annotators_accept(run, folder, masks):
    assert run('--format', 'label-studio') == 0
    path = folder / 'out/tasks.json'
    tasks = read(path)
    assert tasks[0]['data']['image'].startswith('/data/local-files/?d=')
    file, found = names_read(path)
    assert found == {}
    assert '4 predictions of a model not read' in file.notes
    for task in tasks:
        task['annotations'] = task.pop('predictions')
    path.write_text(json.dumps(tasks))
    assert names_read(path)[1] == expected_names(masks)


def test_scores_of_stored_maps(run, folder, masks):
    for name, mask in masks.items():
        ids = [i for i in np.unique(mask).tolist() if i not in (0, 255)]
        maps = (
            torch.stack([torch.full(SIZE, i / 10) for i in ids])
            if (ids)
            else torch.zeros(0, *SIZE)
        )
        path = folder / f'seeds/scores/{name}.npz'
        path.parent.mkdir(exist_ok=True)
        save_scores(path, maps, np.array(ids, int), stride=4)
    assert run('--format', 'label-studio') == 0
    tasks = dict(zip(sorted(masks), read(folder / 'out/tasks.json')))
    for name, task in tasks.items():
        (prediction,) = task['predictions']
        for result in prediction['result']:
            label = result['value']['polygonlabels'][0]
            expected = (CLASSES.index(label) + 1) / 10
            assert result['score'] == pytest.approx(expected, abs=0.003)
        assert ('score' in prediction) == (name != 'leer')
    score = tasks['ring']['predictions'][0]['score']
    assert score == pytest.approx(0.3, abs=0.01)
    path.write_bytes(b'none')
    assert run('--format', 'label-studio', out='other') == 2


@pytest.mark.parametrize('regions', ['component', 'class'])
def test_labelme(run, folder, masks, regions):
    options = ('--link', 'copy', '--regions', regions)
    assert run('--format', 'labelme', *options) == 0
    out = folder / 'out'
    lines = (out / 'labels.txt').read_text('utf-8').splitlines()
    assert lines == list(CLASSES)
    (out / 'labels.txt').unlink()
    file, found = names_read(out)
    assert file.kind == 'labelme JSON'
    assert found == expected_names(masks)
    for name, mask in masks.items():
        data = read(out / f'{name}.json')
        assert (out / data['imagePath']).is_file()
        assert (data['imageHeight'], data['imageWidth']) == SIZE
        pixels = np.zeros(SIZE, np.uint8)
        for shape in data['shapes']:
            assert shape['shape_type'] == 'polygon'
            number = CLASSES.index(shape['label']) + 1
            pixels[fill(np.ravel(shape['points']))] = number
        assert (pixels == without_ignored(mask)).mean() > 0.99
    groups = {s['group_id'] for s in read(out / 'a b.json')['shapes']}
    assert groups == ({None} if regions == 'component' else {1})


def test_labels_beside_labelmes_files_are_no_labels(run, folder, masks):
    assert run('--format', 'labelme') == 0
    assert names_read(folder / 'out')[0].kind == 'labelme JSON'


@pytest.mark.parametrize('form', ['coco-instances', 'yolo-seg'])
def test_other_formats_are_read_back(run, folder, masks, form):
    assert run('--format', form, '--link', 'copy') == 0
    assert names_read(folder / 'out')[1] == expected_names(masks)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--format', 'labelme', '--segmentation', 'rle'), 'give polygons'),
        (('--format', 'cvat', '--segmentation', 'compressed-rle'), 'or rle'),
        (('--format', 'yolo-seg', '--segmentation', 'rle'), 'give polygons'),
        (('--format', 'cvat', '--image-url', 'x'), 'needs --format label-'),
    ],
)
def test_wrong_use_of_segmentation(run, options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


DATUMARO = """
import json, sys
import datumaro
dataset = datumaro.Dataset.import_from(sys.argv[1], 'cvat')
labels = dataset.categories()[datumaro.AnnotationType.label]
print(json.dumps({
    item.id: [
        [labels[a.label].name, a.image.tolist() if 'Mask' in str(a) else None]
        for a in item.annotations
    ]
    for item in dataset
}))
"""


@pytest.mark.parametrize('kind', ['polygons', 'rle'])
def test_datumaro_reads_what_we_write_for_cvat(run, folder, masks, kind):
    if importlib.util.find_spec('datumaro') is None:
        pytest.skip('datumaro is not installed')
    options = ('--segmentation', kind, '--link', 'copy')
    assert run('--format', 'cvat', *options) == 0
    # In a process of its own, for its libraries of threads.
    done = subprocess.run(
        [sys.executable, '-c', DATUMARO, str(folder / 'out')],
        capture_output=True,
        check=True,
        timeout=120,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == set(masks)
    for name, shapes in found.items():
        assert {label for label, _ in shapes} == expected_names(masks)[name]
        if kind == 'rle':
            pixels = np.zeros(SIZE, np.uint8)
            for label, mask in shapes:
                pixels[np.array(mask, bool)] = CLASSES.index(label) + 1
            assert np.array_equal(pixels, without_ignored(masks[name]))


@pytest.mark.parametrize('kind', ['polygons', 'rle'])
def test_label_studios_sdk_accepts_the_predictions(run, folder, kind):
    name = 'label_studio_sdk.label_interface'
    sdk = pytest.importorskip(name)
    assert run('--format', 'label-studio', '--segmentation', kind) == 0
    config = (folder / 'out/labeling_config.xml').read_text('utf-8')
    interface = sdk.LabelInterface(config)
    for task in read(folder / 'out/tasks.json'):
        assert interface.validate_task(dict(data=task['data']))
        assert all(map(interface.validate_prediction, task['predictions']))
