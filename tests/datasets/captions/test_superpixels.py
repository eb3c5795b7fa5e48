import re
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_weakclip.datasets.captions.superpixel_cache import (
    SuperpixelCache,
)
from mmseg_weakclip.datasets.captions.superpixels import (
    felzenszwalb_superpixels,
)

SMALL = dict(scale=100, sigma=0.5, min_size=20, short_side=24)


def blocks(height=48, width=64):
    """Four flat parts of one image, BGR."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, width // 2 :, 0] = 255
    image[height // 2 :, : width // 2, 1] = 255
    image[height // 2 :, width // 2 :, 2] = 255
    return image


def transform_of(**options):
    return TRANSFORMS.build(
        dict(type='FelzenszwalbSuperpixels', **{**SMALL, **options})
    )


def results_of(image, **fields):
    shape = image.shape[:2]
    return dict(
        img=image,
        img_path='somewhere/a/x.jpg',
        img_name='a/x.jpg',
        img_shape=shape,
        ori_shape=shape,
        seg_fields=[],
        **fields,
    )


def test_flat_parts_are_superpixels():
    ids = felzenszwalb_superpixels(
        blocks(), scale=100, sigma=0.1, min_size=20, short_side=48
    )
    assert (ids.dtype, ids.shape) == (np.int32, (48, 64))
    corners = [ids[5, 5], ids[5, -5], ids[-5, 5], ids[-5, -5]]
    assert sorted(corners) == [0, 1, 2, 3]
    assert (ids[:24, :32] == corners[0]).all()
    assert (ids[24:, 32:] == corners[3]).all()


def test_equals_scikit_image_on_rgb():
    from skimage.segmentation import felzenszwalb

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(noise, (64, 48), interpolation=cv2.INTER_CUBIC)
    options = dict(scale=224.0, sigma=0.9, min_size=30)
    expected = felzenszwalb(image[..., ::-1], **options)
    found = felzenszwalb_superpixels(image, short_side=48, **options)
    assert np.array_equal(found, expected)
    assert found.max() > 3


@pytest.mark.parametrize(
    ('size', 'expected'),
    [((48, 64), (24, 32)), ((64, 48), (32, 24)), ((20, 64), (20, 64))],
)
def test_short_side(size, expected):
    assert felzenszwalb_superpixels(blocks(*size), **SMALL).shape == expected


def test_transform_brings_them_to_the_size_of_the_image():
    image = blocks(50, 66)
    results = transform_of()(results_of(image))
    ids = results['superpixels']
    assert (ids.dtype, ids.shape) == (np.int32, (50, 66))
    assert results['seg_fields'] == ['superpixels']
    assert len({ids[5, 5], ids[5, -5], ids[-5, 5], ids[-5, -5]}) == 4


def test_second_time_comes_from_the_cache(tmp_path, monkeypatch):
    image = blocks()
    plain = transform_of()(results_of(image))['superpixels']
    transform = transform_of(cache_dir=str(tmp_path / 'sp'))
    first = transform(results_of(image))['superpixels']
    path = tmp_path / 'sp/a/x.jpg.png'
    with Image.open(path) as stored:
        assert (stored.mode, stored.size) == ('I;16', (32, 24))

    def fail(*args, **kwargs):
        raise AssertionError('found anew')

    monkeypatch.setattr(
        'mmseg_weakclip.datasets.captions.superpixels.felzenszwalb_superpixels',
        fail,
    )
    again = transform_of(cache_dir=str(tmp_path / 'sp'))(results_of(image))
    assert np.array_equal(first, plain)
    assert np.array_equal(again['superpixels'], plain)
    assert again['superpixels'].dtype == np.int32
    assert [p.name for p in path.parent.iterdir()] == ['x.jpg.png']


def test_equal_names_in_two_folders(tmp_path):
    transform = transform_of(cache_dir=str(tmp_path))
    for name in ('a/x.jpg', 'b/x.jpg', 'b/x.png'):
        transform(dict(results_of(blocks()), img_name=name))
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*.png')}
    assert found == {'a/x.jpg.png', 'b/x.jpg.png', 'b/x.png.png'}


def test_cache_of_another_image_size(tmp_path):
    transform = transform_of(cache_dir=str(tmp_path))
    transform(results_of(blocks(48, 64)))
    # It would shrink to the same size.
    message = (
        re.escape(str(tmp_path / 'a/x.jpg.png'))
        + r' .*image_size \[48, 64\] instead of \[96, 128\].*Remove '
        + re.escape(str(tmp_path))
    )
    with pytest.raises(ValueError, match=message):
        transform(results_of(blocks(96, 128)))


def test_cache_of_other_parameters(tmp_path):
    transform_of(cache_dir=str(tmp_path))(results_of(blocks()))
    other = transform_of(cache_dir=str(tmp_path), sigma=0.9, min_size=30)
    with pytest.raises(
        ValueError,
        match=r'x\.jpg\.png .*sigma 0\.5 instead of 0\.9, min_size 20 '
        r'instead of 30\. Remove .*cache_dir',
    ):
        other(results_of(blocks()))


@pytest.mark.parametrize('damage', ['cut', 'empty', 'foreign'])
def test_damaged_cache(tmp_path, damage):
    transform = transform_of(cache_dir=str(tmp_path))
    transform(results_of(blocks()))
    path = tmp_path / 'a/x.jpg.png'
    content = path.read_bytes()
    path.write_bytes(content[:-30] if damage == 'cut' else b'')
    if damage == 'foreign':
        Image.new('L', (32, 24)).save(path)
    with pytest.raises(ValueError, match=r'x\.jpg\.png is damaged.*remove it'):
        transform(results_of(blocks()))


def test_sixteen_bits(tmp_path):
    cache = SuperpixelCache(tmp_path, {})
    ids = np.arange(65536, dtype=np.int32).reshape(256, 256)
    cache.write('x.jpg', (300, 300), ids)
    found = cache.read('x.jpg', (300, 300))
    assert found.dtype == np.int32
    assert np.array_equal(found, ids)
    with pytest.raises(ValueError, match=r'x\.jpg has 65537.*raise min_size'):
        cache.write('x.jpg', (300, 300), ids + 1)


def test_has_looks_at_the_header(tmp_path):
    cache = SuperpixelCache(tmp_path, dict(scale=1.0))
    assert not cache.has('x.jpg', None)
    cache.write('x.jpg', (4, 6), np.zeros((4, 6), np.int32))
    assert cache.has('x.jpg', None)
    assert cache.has('x.jpg', (4, 6))
    with pytest.raises(ValueError, match='image_size'):
        cache.has('x.jpg', (6, 4))
    with pytest.raises(ValueError, match=r'scale 1\.0 instead of 2'):
        SuperpixelCache(tmp_path, dict(scale=2.0)).has('x.jpg', None)


def test_several_may_write(tmp_path):
    cache = SuperpixelCache(tmp_path, {})
    ids = np.arange(600, dtype=np.int32).reshape(20, 30)
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda _: cache.write('deep/x.jpg', (20, 30), ids), range(40)
            )
        )
    assert np.array_equal(cache.read('deep/x.jpg', (20, 30)), ids)
    assert len(list((tmp_path / 'deep').iterdir())) == 1


def test_where_it_stands():
    results = results_of(blocks())
    results['img_shape'] = (24, 32)
    with pytest.raises(ValueError, match='right after the image'):
        transform_of()(results)


def test_a_cache_needs_names(tmp_path):
    results = results_of(blocks())
    del results['img_name']
    with pytest.raises(ValueError, match=r'a/x\.jpg has no img_name.*Caption'):
        transform_of(cache_dir=str(tmp_path))(results)
    assert 'superpixels' in transform_of()(results)


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, 'skimage.segmentation', None)
    with pytest.raises(ImportError, match=r"mmseg_weakclip\[segclip\]'"):
        felzenszwalb_superpixels(blocks(), **SMALL)


def test_real_photographs(coco_root):
    paths = sorted(coco_root.rglob('*.jpg'))[:2]
    assert paths
    for path in paths:
        image = cv2.imread(str(path))
        ids = felzenszwalb_superpixels(image)
        assert min(ids.shape) == 224
        sizes = np.bincount(ids.ravel())
        assert 5 < len(sizes) < 150
        # The least size of a superpixel is what merges are made for.
        assert sizes.min() >= 224
