import sys

import numpy as np
import pytest
import torch

from mmseg_weakclip.common.region_files import Regions
from mmseg_weakclip.pseudo_masks.region_generators import (
    felzenszwalb_regions,
    hf_generator,
    nesting_levels,
    pipeline_regions,
    reduce_first,
    regions_of_sam,
    sam_generator,
    slic_regions,
)


@pytest.fixture
def image():
    """Four rectangles of one colour each, with a little noise."""
    rng = np.random.default_rng(0)
    image = np.zeros((60, 80, 3))
    image[:30, :40], image[:30, 40:] = (200, 30, 30), (30, 200, 30)
    image[30:, :40], image[30:, 40:] = (30, 30, 200), (200, 200, 30)
    noisy = image + rng.normal(0, 3, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize('find', [slic_regions, felzenszwalb_regions])
def test_superpixels_keep_to_colours(image, find):
    labels = find(image)
    assert labels.shape == (60, 80)
    found = Regions.of_labels(labels)
    assert len(found.masks) >= 4
    quadrant = np.zeros((60, 80), int)
    quadrant[30:] += 1
    quadrant[:, 40:] += 2
    own = sum(np.bincount(quadrant[mask]).max() for mask in found.masks)
    assert own > 0.95 * quadrant.size


def test_number_of_superpixels(image):
    few, many = (len(np.unique(slic_regions(image, n))) for n in (8, 80))
    assert few < many / 3


def box(left, right):
    mask = np.zeros((4, 10), bool)
    mask[:, left:right] = True
    return mask


def test_levels_by_hand():
    """A part of a part of a whole; one beside; one of nearly its size."""
    masks = [box(0, 9), box(0, 4), box(1, 2), box(9, 10), box(0, 10)]
    assert nesting_levels(masks) == [2, 1, 0, 0, 2]
    # 9 of 10 columns count as inside, 10 of 10 as the same.
    assert nesting_levels([box(0, 10), box(0, 9)]) == [1, 0]
    assert nesting_levels([box(0, 10), box(0, 10)]) == [0, 0]
    assert nesting_levels([]) == []


def test_masks_of_sam():
    found = [
        dict(segmentation=box(0, 6), predicted_iou=0.9),
        dict(segmentation=box(0, 2), predicted_iou=0.8),
        dict(segmentation=box(0, 0), predicted_iou=0.7),
    ]
    regions = regions_of_sam(found, (4, 10))
    assert regions.scores.tolist() == [0.9, 0.8]
    assert regions.levels.tolist() == [1, 0]
    assert regions_of_sam([], (4, 10)).masks.shape == (0, 4, 10)


def test_a_pipeline(image):
    def run(picture, points):
        assert picture.size == (80, 60)
        assert points == 9
        mask = np.zeros((60, 80))
        mask[:5] = 1
        return dict(masks=[mask], scores=np.array([0.5]))

    found = pipeline_regions(image, run, dict(points=9))
    assert found.masks.sum() == 400
    assert found.scores.tolist() == [0.5]


def test_large_images_are_reduced(image):
    seen = []

    def find(small):
        seen.append(small.shape)
        height, width = small.shape[:2]
        masks = np.zeros((1, height, width), bool)
        masks[0, : height // 2] = True
        return Regions.of_masks(masks, (height, width), [0.25], [1])

    found = reduce_first(find, 40)(image)
    assert seen == [(30, 40, 3)]
    assert found.masks.shape == (1, 60, 80)
    assert found.masks[0, :30].all()
    assert not found.masks[0, 30:].any()
    assert (found.scores.tolist(), found.levels.tolist()) == ([0.25], [1])
    reduce_first(find, 80)(image)
    assert seen[-1] == (60, 80, 3)
    assert reduce_first(find, None) is find


def test_a_partition_of_a_reduced_image(image):
    """As its masks would be, each enlarged by itself."""

    def find(small):
        return (small[..., 0] // 9).astype(np.int64)

    def find_masks(small):
        return Regions.of_labels(find(small))

    labels = reduce_first(find, 37)(image)
    masks = reduce_first(find_masks, 37)(image).masks
    assert np.array_equal(Regions.of_labels(labels).masks, masks)


def test_without_packages_or_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[hf\]'):
        hf_generator('facebook/sam2-hiera-tiny')
    monkeypatch.setitem(sys.modules, 'segment_anything', None)
    with pytest.raises(ImportError, match=r'mmseg_weakclip\[sam\]'):
        sam_generator(str(tmp_path / 'sam.pth'))


def test_a_small_sam(image):
    """The mechanics, with random weights: any masks are in the image."""
    pytest.importorskip('segment_anything')
    from small_sam import build_small_sam

    from mmseg_weakclip.pseudo_masks.region_generators import sam_regions

    find = sam_regions(
        build_small_sam(),
        points_per_side=4,
        pred_iou_thresh=-1e9,
        stability_score_thresh=0.0,
        box_nms_thresh=0.99,
    )
    found = find(image)
    assert len(found.masks)
    assert found.masks.shape[1:] == (60, 80)
    assert found.masks.any((1, 2)).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda state: state, None),
        (lambda state: dict(list(state.items())[1:]), 'not hold .* SAM vit_b'),
        (lambda state: 'words', 'sam.pth'),
    ],
)
def test_weights_of_sam(tmp_path, monkeypatch, image, change, message):
    segment_anything = pytest.importorskip('segment_anything')
    from small_sam import build_small_sam

    monkeypatch.setitem(
        segment_anything.sam_model_registry, 'vit_b', build_small_sam
    )
    path = tmp_path / 'sam.pth'
    torch.save(change(build_small_sam().state_dict()), path)
    if message is not None:
        with pytest.raises(ValueError, match=message):
            sam_generator(str(path), 'vit_b')
        return
    find = sam_generator(str(path), 'vit_b', points_per_side=1)
    assert find(image).masks.shape[1:] == (60, 80)


def test_missing_weights_of_sam(tmp_path):
    pytest.importorskip('segment_anything')
    with pytest.raises(ValueError, match=r'sam\.pth .*sam_vit_h_4b8939\.pth'):
        sam_generator(str(tmp_path / 'sam.pth'))
