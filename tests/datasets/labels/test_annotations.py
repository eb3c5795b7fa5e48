import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.names import VOCABULARIES
from mmseg_weakclip.datasets.labels.formats import read_image_labels

CLASSES = ('background', 'cat', 'dog', 'person')

XML = """<annotation><filename>other.jpg</filename>
<object><name>person</name><difficult>0</difficult>
  <part><name>head</name></part></object>
<object><name>dog</name><difficult>1</difficult></object>
<object><name>person</name></object></annotation>"""


def test_voc_xml(tmp_path):
    (tmp_path / 'a.xml').write_text(XML)
    (tmp_path / 'b.xml').write_text('<annotation></annotation>')
    labels = read_image_labels(tmp_path, CLASSES)
    assert dict(labels.labels) == {'a': (1, 2), 'b': ()}
    easy = read_image_labels(tmp_path, CLASSES, difficult=False)
    assert easy['a'] == (2,)
    assert set(read_image_labels(tmp_path, CLASSES, ids=['b']).labels) == {'b'}


def test_bad_voc_xml(tmp_path):
    (tmp_path / 'a.xml').write_text(XML.replace('dog', 'dgo'))
    with pytest.raises(ValueError, match=r"'dgo'.*'a', a\.xml; nearest: dog"):
        read_image_labels(tmp_path, CLASSES)
    (tmp_path / 'a.xml').write_text(XML[:-20])
    with pytest.raises(ValueError, match=r'a\.xml is not valid XML'):
        read_image_labels(tmp_path, CLASSES)


def instances() -> dict:
    return {
        'images': [
            {'id': 9, 'file_name': 'COCO_train2014_000000000009.jpg'},
            {'id': 25, 'file_name': '000000000025.jpg'},
            {'id': 30, 'file_name': '000000000030.jpg'},
        ],
        'categories': [
            {'id': 18, 'name': 'dog'},
            {'id': 1, 'name': 'person'},
            {'id': 77, 'name': 'never used'},
        ],
        'annotations': [
            {'image_id': 9, 'category_id': 18, 'iscrowd': 0},
            {'image_id': 9, 'category_id': 18},
            {'image_id': 25, 'category_id': 1, 'iscrowd': 1},
        ],
    }


@pytest.fixture
def coco(tmp_path):
    def write(data: dict) -> str:
        path = tmp_path / 'instances_train2014.json'
        path.write_text(json.dumps(data))
        return str(path)

    return write


def test_coco_instances(coco):
    path = coco(instances())
    labels = read_image_labels(path, CLASSES)
    assert dict(labels.labels) == {
        '000000000009': (1,),
        '000000000025': (2,),
        '000000000030': (),
    }
    plain = read_image_labels(path, CLASSES, 'coco-json', crowd=False)
    assert plain['000000000025'] == ()


def test_coco_instances_bring_their_classes(coco):
    labels = read_image_labels(coco(instances()))
    assert labels.classes == ('person', 'dog', 'never used')


def test_bad_coco_instances(coco):
    data = instances()
    data['annotations'][0]['image_id'] = 7
    with pytest.raises(ValueError, match='image 7, category 18'):
        read_image_labels(coco(data), CLASSES)
    data = instances()
    data['categories'][0]['name'] = 'wolf'
    with pytest.raises(ValueError, match="'wolf'"):
        read_image_labels(coco(data), CLASSES)
    with pytest.raises(ValueError, match='not a COCO instances file'):
        read_image_labels(coco({'images': []}), CLASSES, 'coco-json')


def write_mask(path, ids, mode='L') -> None:
    mask = np.zeros((8, 10), np.uint8)
    for row, (class_id, count) in enumerate(ids.items()):
        mask[row, :count] = class_id
    image = Image.fromarray(mask, mode)
    if mode == 'P':
        # A short palette would make PIL write fewer bits per pixel.
        image.putpalette([i % 256 for i in range(768)])
    image.save(path)


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_masks(tmp_path, mode):
    write_mask(tmp_path / 'a.png', {1: 9, 3: 2, 255: 3}, mode)
    write_mask(tmp_path / 'b.png', {}, mode)
    labels = read_image_labels(tmp_path, CLASSES)
    assert dict(labels.labels) == {'a': (0, 2), 'b': ()}
    large = read_image_labels(tmp_path, CLASSES, min_pixels=3)
    assert large['a'] == (0,)


def test_masks_with_an_unknown_id(tmp_path):
    write_mask(tmp_path / 'a.png', {4: 1})
    with pytest.raises(ValueError, match=r'a\.png has ids \[4\].*1 to 3'):
        read_image_labels(tmp_path, CLASSES)


@pytest.mark.parametrize(
    ('ids', 'names'),
    [
        ({1: 3, 90: 3}, ('person', 'toothbrush')),
        ({1: 3, 12: 3}, ('person', 'stop sign')),
    ],
)
def test_masks_of_coco_in_either_encoding(tmp_path, ids, names):
    write_mask(tmp_path / 'a.png', ids)
    labels = read_image_labels(tmp_path, VOCABULARIES['coco'])
    assert labels.names('a') == names


def test_masks_of_coco_in_both_encodings(tmp_path):
    write_mask(tmp_path / 'a.png', {90: 3})
    write_mask(tmp_path / 'b.png', {12: 3})
    with pytest.raises(ValueError, match=r'mix.*a\.png.*b\.png'):
        read_image_labels(tmp_path, VOCABULARIES['coco'])


def test_real_voc_masks(voc_root):
    labels = read_image_labels(
        voc_root / 'SegmentationClass', VOCABULARIES['voc']
    )
    listed = read_image_labels(
        voc_root / 'image_labels.json', VOCABULARIES['voc']
    )
    assert dict(labels.labels) == dict(listed.labels)


def test_real_coco_masks(coco_root):
    labels = read_image_labels(
        coco_root / 'SegmentationClass_coco80', VOCABULARIES['coco']
    )
    listed = read_image_labels(
        coco_root / 'image_labels.json', VOCABULARIES['coco']
    )
    assert set(labels.labels) == set(listed.labels)
    # Crowds are tags, but ignored in masks.
    assert all(
        set(labels[image_id]) <= set(listed[image_id])
        for image_id in listed.labels
    )
    assert sum(map(len, labels.labels.values())) > 0
