import numpy as np
import pytest
from PIL import Image

from mmseg_weakclip.common.masks import encode_mask, read_mask
from mmseg_weakclip.pseudo_masks.refiner import Refiner
from mmseg_weakclip.pseudo_masks.seed_masks import (
    SeedMaskRefiner,
    label_scores,
    may_fill,
)
from mmseg_weakclip.pseudo_masks.store import MaskStore

PALETTE = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
CRF = dict(gaussian_sxy=1.0, bilateral_sxy=20.0, bilateral_srgb=13.0)
HALF = 0.7


def test_scores_by_hand():
    mask = np.array([[0, 3, 255]], np.uint8)
    found = label_scores(mask, [0, 1, 3], 0.7)
    third = 1 / 3
    expected = [[[0.7, 0.15, third]], [[0.15, 0.15, third]],
                [[0.15, 0.7, third]]]  # fmt: skip
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-6)


@pytest.mark.parametrize('confidence', [0.5, 0.1, 1.1])
def test_a_label_is_surer_than_a_guess(confidence):
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match='must exceed 1/2'):
        label_scores(mask, [0, 1], confidence)


def test_labels_of_other_classes_are_an_error():
    with pytest.raises(ValueError, match=r'ids \[2\], its image .*\[0, 1\]'):
        label_scores(np.array([[0, 2]], np.uint8), [0, 1], 0.7)


def test_open_pixels_get_a_class_that_others_show():
    assert may_fill(np.array([[0, 1, 255]]), [0, 1])
    assert not may_fill(np.array([[0, 1, 255]]), [0, 1, 2])
    assert not may_fill(np.array([[1, 255]]), [0, 1])


@pytest.fixture
def refine(tmp_path):
    """Refine a mask over an image with a red left and a grey right half."""
    pixels = np.full((24, 32, 3), 128, np.uint8)
    pixels[:, :16] = 255, 0, 0
    path = tmp_path / 'a.png'
    Image.fromarray(pixels).save(path)

    def run(mask, classes=(0, 1), crf=CRF):
        (tmp_path / 'in.png').write_bytes(encode_mask(mask, PALETTE))
        out = tmp_path / 'out'
        store = MaskStore(out)
        store.open({})
        call = SeedMaskRefiner(
            Refiner(None, crf, 'auto', HALF, 255), HALF, PALETTE, 4, str(out)
        )
        record = call(str(path), tmp_path / 'in.png', list(classes))
        assert record == dict(id='a')
        return read_mask(str(store.mask_path('a')))

    return run


def objects():
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :16] = 1
    return mask


def test_without_a_crf_nothing_changes(refine):
    mask = objects()
    mask[2:9, 5:30] = 255
    np.testing.assert_array_equal(refine(mask, crf=None), mask)


def test_holes_are_filled_along_the_edges_of_the_image(refine):
    mask = objects()
    mask[8:16, 8:24] = 255
    np.testing.assert_array_equal(refine(mask), objects())


def test_a_class_without_a_pixel_keeps_them_open(refine):
    """The hole may be the dog that no mask shows."""
    mask = objects()
    mask[8:16, 8:24] = 255
    found = refine(mask, classes=(0, 1, 3))
    np.testing.assert_array_equal(found == 255, mask == 255)
    sure = mask != 255
    np.testing.assert_array_equal(found[sure], mask[sure])


def test_a_labelled_pixel_keeps_a_label(refine):
    """However unsure the CRF is, so that no image loses all its pixels."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (24, 32)).astype(np.uint8)
    assert not (refine(mask) == 255).any()
    blank = np.full((24, 32), 255, np.uint8)
    assert (refine(blank) == 255).all()


def test_a_mask_of_another_size(refine):
    with pytest.raises(ValueError, match='a.png has'):
        refine(objects()[:20])
