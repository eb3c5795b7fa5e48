import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.datasets.masks.transforms import (
    LoadSeed,
    LoadTruthIfPresent,
)

CLASSES = ('background', 'cat', 'dog')
MASK = np.array([[0, 1, 255], [2, 2, 1]], np.uint8)


@pytest.fixture
def sample(tmp_path):
    """A sample whose image is loaded, as a function of its mask."""

    def make(mask=MASK, **fields) -> dict:
        path = tmp_path / 'seed.png'
        Image.fromarray(np.asarray(mask)).save(path)
        results = dict(
            img_path='a.jpg',
            seg_map_path=str(path),
            classes=CLASSES,
            img_shape=(2, 3),
            ori_shape=(2, 3),
            label_map=None,
            reduce_zero_label=False,
            seg_fields=[],
        )
        return {**results, **fields}

    return make


def test_seed_is_loaded(sample):
    results = LoadSeed()(sample())
    assert np.array_equal(results['gt_seg_map'], MASK)
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['seg_fields'] == ['gt_seg_map']


def test_label_map_is_applied_and_bounds_the_ids(sample):
    results = LoadSeed()(sample(label_map={0: 0, 1: 255, 2: 1}))
    assert results['gt_seg_map'].tolist() == [[0, 255, 255], [1, 1, 255]]
    with pytest.raises(ValueError, match=r'seed\.png has ids \[2\]'):
        LoadSeed()(sample(label_map={0: 0, 1: 1}))


def test_unknown_ids(sample):
    with pytest.raises(ValueError, match=r'seed\.png has ids \[3, 200\]'):
        LoadSeed()(sample(np.uint8([[0, 3, 255], [200, 2, 1]])))
    # A cast to 8 bits would make 257 a cat.
    with pytest.raises(ValueError, match=r'ids \[257\]'):
        LoadSeed()(sample(np.full((2, 3), 257, np.uint16)))


def test_size_of_the_loaded_image(sample):
    with pytest.raises(ValueError, match=r'seed\.png is 2 x 3.*a\.jpg 4 x 3'):
        LoadSeed()(sample(img_shape=(4, 3), ori_shape=(4, 3)))
    with pytest.raises(ValueError, match='right after the image'):
        LoadSeed()(sample(img_shape=(4, 6)))
    unloaded = sample()
    del unloaded['img_shape'], unloaded['ori_shape']
    with pytest.raises(ValueError, match=r'Load the image before.*seed\.png'):
        LoadSeed()(unloaded)


def test_only_ignored_pixels(sample):
    empty = np.full((2, 3), 255, np.uint8)
    with pytest.raises(ValueError, match=r'seed\.png has only ignored'):
        LoadSeed()(sample(empty))
    # Also where the mapping is what ignores them.
    with pytest.raises(ValueError, match='only ignored'):
        LoadSeed()(sample(label_map={0: 255, 1: 255, 2: 255}))
    results = LoadSeed(allow_empty=True)(sample(empty))
    assert (results['gt_seg_map'] == 255).all()


def test_classes_of_stock_datasets_must_be_given(sample):
    results = sample()
    del results['classes']
    with pytest.raises(ValueError, match='give num_classes='):
        LoadSeed()(dict(results))
    assert 'gt_seg_map' in LoadSeed(num_classes=3)(dict(results))
    with pytest.raises(ValueError, match=r'ids \[2\]'):
        LoadSeed(num_classes=2)(dict(results))


def test_no_seed(sample, tmp_path):
    results = sample(seg_map_path=str(tmp_path / 'gone.png'))
    with pytest.raises(FileNotFoundError, match=r'gone\.png'):
        LoadSeed()(results)
    del results['seg_map_path']
    with pytest.raises(ValueError, match=r'a\.jpg.*data_prefix'):
        LoadSeed()(results)


def test_background_may_not_be_dropped(sample):
    with pytest.raises(ValueError, match='reduce_zero_label'):
        LoadSeed()(sample(reduce_zero_label=True))


def test_truth_is_loaded_in_test_mode_only(sample):
    results = LoadTruthIfPresent()(sample(test_mode=True))
    assert np.array_equal(results['gt_seg_map'], MASK)
    for fields in ({}, {'test_mode': False}):
        with pytest.raises(ValueError, match=r'seed\.png outside of a test'):
            LoadTruthIfPresent()(sample(**fields))


def test_truth_may_be_missing(sample, tmp_path):
    gone = sample(test_mode=True, seg_map_path=str(tmp_path / 'gone.png'))
    results = LoadTruthIfPresent()(gone)
    assert 'gt_seg_map' not in results
    assert results['seg_fields'] == []
    # The inferencer's samples have no mask path and no mode.
    assert LoadTruthIfPresent()({'img_path': 'a.jpg'}) == {'img_path': 'a.jpg'}


def test_truth_of_a_resized_image_has_its_original_size(sample):
    results = LoadTruthIfPresent()(sample(test_mode=True, img_shape=(4, 6)))
    assert results['gt_seg_map'].shape == (2, 3)
    with pytest.raises(ValueError, match=r'is 2 x 3'):
        LoadTruthIfPresent()(sample(test_mode=True, ori_shape=(4, 6)))


def test_truth_may_be_empty_but_not_wrong(sample):
    empty = np.full((2, 3), 255, np.uint8)
    LoadTruthIfPresent()(sample(empty, test_mode=True))
    with pytest.raises(ValueError, match=r'ids \[9\]'):
        LoadTruthIfPresent()(sample(empty // 255 * 9, test_mode=True))
