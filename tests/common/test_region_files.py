import json

import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.region_files import (
    Regions,
    read_regions,
    region_path,
    write_regions,
)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.new('RGB', (30, 20), 'red').save(path)
    return path


@pytest.fixture
def regions():
    rng = np.random.default_rng(0)
    masks = rng.random((4, 20, 30)) < 0.4
    return Regions.of_masks(masks, (20, 30), [0.9, 0.5, 1, 0], [0, 1, 2, 0])


@pytest.fixture
def written(tmp_path, image, regions):
    path = region_path(tmp_path, 'a')
    write_regions(path, regions, image, 'by hand')
    return path


def test_what_is_written_is_read(written, image, regions):
    found = read_regions(written, image)
    assert np.array_equal(found.masks, regions.masks)
    assert found.scores.tolist() == regions.scores.tolist()
    assert found.levels.tolist() == regions.levels.tolist()
    content = json.loads(written.read_text())
    assert content['size'] == [20, 30]
    assert content['generator'] == 'by hand'
    assert [r['area'] for r in content['regions']] == [
        int(mask.sum()) for mask in regions.masks
    ]


def test_cocos_own_library_reads_them(written, regions):
    library = pytest.importorskip('pycocotools.mask')
    content = json.loads(written.read_text())
    for one, mask in zip(content['regions'], regions.masks):
        entry = dict(size=content['size'], counts=one['rle'])
        assert np.array_equal(library.decode(entry), mask)


def test_masks_without_pixels_are_left_out():
    masks = np.zeros((3, 4, 5), bool)
    masks[1, 2, 3] = True
    found = Regions.of_masks(masks, (4, 5), [0.1, 0.2, 0.3])
    assert found.masks.shape == (1, 4, 5)
    assert found.scores.tolist() == [0.2]


def test_a_partition():
    labels = np.array([[7, 7, 2], [2, 2, 9]])
    found = Regions.of_labels(labels)
    assert found.masks.sum(0).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert [mask.sum() for mask in found.masks] == [3, 2, 1]


def test_an_image_without_regions(tmp_path, image):
    path = region_path(tmp_path, 'none')
    write_regions(path, Regions.of_masks([], (20, 30)), image, 'x')
    assert read_regions(path, image).masks.shape == (0, 20, 30)


def test_other_forms_of_coco(tmp_path):
    """Numbers, and an object with its size; no score and no level."""
    path = tmp_path / 'a.json'
    counts = [2, 3, 1]
    rles = [counts, dict(size=[2, 3], counts=counts)]
    path.write_text(
        json.dumps(dict(size=[2, 3], regions=[dict(rle=r) for r in rles]))
    )
    found = read_regions(path)
    assert found.masks.tolist() == 2 * [[[0, 1, 1], [0, 1, 0]]]
    assert found.scores.tolist() == [1, 1]
    assert found.levels.tolist() == [0, 0]


def test_regions_of_another_image(written, tmp_path):
    other = tmp_path / 'b.jpg'
    Image.new('RGB', (30, 20), 'blue').save(other)
    with pytest.raises(ValueError, match=r'a\.json .*another image .*b\.jpg'):
        read_regions(written, other)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r'a\.json .*`weakclip regions`'):
        read_regions(tmp_path / 'a.json')


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[]',
        'null',
        '{"size": [2, 3]}',
        '{"size": [2], "regions": []}',
        '{"size": [2, 3], "regions": [{}]}',
        '{"size": [2, 3], "regions": [3]}',
        '{"size": [2, 3], "regions": [{"rle": [9]}]}',
        '{"size": [2, 3], "regions": [{"rle": "9 "}]}',
        '{"size": [2, 3], "regions": [{"rle": {"size": [3, 2]}}]}',
        '{"size": [2, 3], "regions": [{"rle": [6], "score": "x"}]}',
    ],
)
def test_damaged_files(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=r'a\.json is not a file of regions'):
        read_regions(path)
