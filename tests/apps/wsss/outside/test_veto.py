import numpy as np
import pytest

from mmseg_weakclip.apps.wsss.outside.source import OPEN, REST
from mmseg_weakclip.apps.wsss.outside.veto import own_ids, veto

NAMES = ('wolf', 'couch', 'cat')
OURS = ('cat', 'dog', 'sofa')
IDS = own_ids(NAMES, OURS)


def test_their_classes_are_ours_by_name():
    assert IDS == [None, 3, 1]


def test_an_image_shows_no_class_that_it_does_not_have():
    values = np.array([[OPEN, REST, 1], [2, 3, 3]])
    done = veto(values, NAMES, IDS, {1, 2}, 'background')
    assert done.mask.tolist() == [[255, 0, 255], [255, 1, 1]]
    assert done.mask.dtype == np.uint8
    assert done.removed == {'wolf': 1, 'couch': 1}
    assert done.found == {1: 2, 2: 0}
    assert done.absent == [2]


@pytest.mark.parametrize(
    ('rest', 'labels', 'left'),
    [
        ('background', {1, 2}, 0),
        ('unsure', {1}, 255),
        ('complete', {1}, 0),
        # The dog, of which there is no pixel, may be in the rest.
        ('complete', {1, 2}, 255),
    ],
)
def test_pixels_of_no_class(rest, labels, left):
    values = np.array([[REST, 3, OPEN]])
    done = veto(values, NAMES, IDS, labels, rest)
    assert done.mask.tolist() == [[left, 1, 255]]
    assert not done.removed


def test_each_pixel_is_its_own_class_and_allowed_or_open():
    """Against a loop over the pixels."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(-1, 4, (5, 7))
        labels = set(rng.choice([1, 2, 3], 2, replace=False).tolist())
        done = veto(values, NAMES, IDS, labels, 'background')
        for value, found in zip(values.ravel(), done.mask.ravel()):
            own = (
                {OPEN: 255, REST: 0}.get(int(value))
                if value < 1
                else IDS[value - 1]
            )
            expected = own if value < 1 or own in labels else 255
            assert found == expected


def test_a_veto_changes_nothing_twice():
    values = np.array([[OPEN, REST, 1, 2, 3]])
    first = veto(values, NAMES, IDS, {1}, 'background').mask
    again = np.where(first == 255, OPEN, first.astype(int))
    second = veto(again, OURS, [1, 2, 3], {1}, 'background')
    np.testing.assert_array_equal(second.mask, first)
    assert not second.removed
