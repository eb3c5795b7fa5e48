"""The mistakes that the benchmark makes in true masks."""

import numpy as np
import pytest
from outside_masks import KINDS, damage, mean_iou

from mmseg_weakclip.common.masks import encode_mask


def scene():
    mask = np.zeros((60, 80), np.uint8)
    mask[10:30, 10:40] = 3
    mask[35:55, 45:75] = 7
    mask[0, 0] = 255
    return mask


@pytest.mark.parametrize('kind', KINDS)
def test_mistakes_can_be_repeated(kind):
    mask = scene()
    first, second = damage(mask, kind, 5), damage(mask, kind, 5)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(mask, scene())
    assert (first == mask).all() == (kind == 'truth') or kind in (
        'missing', 'wrong class'
    )  # fmt: skip


def test_holes_and_shifts_show_no_new_class():
    mask = scene()
    holes, shifted = damage(mask, 'holes', 1), damage(mask, 'shifted', 1)
    changed = holes != mask
    assert changed.any()
    assert not holes[changed].any()
    assert set(np.unique(shifted)) <= {0, 3, 7, 255}
    assert abs(int((shifted == 3).sum()) - 600) < 60


def test_a_share_of_the_objects_is_wrong_or_missing():
    mask = scene()
    for kind in ('wrong class', 'missing'):
        gone = [(damage(mask, kind, i) != 3)[mask == 3] for i in range(200)]
        whole = [found.all() for found in gone]
        assert all(found.all() or not found.any() for found in gone)
        assert 0.2 < np.mean(whole) < 0.4
        ids = set(np.unique([damage(mask, kind, i) for i in range(50)]))
        assert (ids == {0, 3, 7, 255}) == (kind == 'missing')


def test_scores_by_hand(tmp_path):
    for folder, ids in (('a', [0, 1, 255, 1]), ('b', [0, 1, 1, 0])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'x.png').write_bytes(
            encode_mask(np.array([ids], np.uint8), [[0] * 3])
        )
    # Background 1 of 2, class 1 of 3.
    found = mean_iou(tmp_path / 'a', tmp_path / 'b', ['x'])
    assert found == pytest.approx((50 + 100 / 3) / 2)
