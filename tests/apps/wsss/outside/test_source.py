import numpy as np
import pytest

from mmseg_weakclip.apps.wsss.outside.source import (
    OPEN,
    Segment,
    check_size,
    paint_segments,
)


def box(size, top, bottom, left, right, value, score=None):
    pixels = np.zeros(size, bool)
    pixels[top:bottom, left:right] = True
    return Segment(pixels, value, score)


SIZE = (2, 4)
SOFA = box(SIZE, 0, 2, 0, 4, 1)
CAT = box(SIZE, 0, 1, 1, 3, 2)
BOTH = (1, 2)


@pytest.mark.parametrize('order', [1, -1])
def test_the_smaller_lies_on_top(order):
    found = paint_segments(SIZE, [SOFA, CAT][::order], BOTH)
    assert found.tolist() == [[1, 2, 2, 1], [1, 1, 1, 1]]


def test_the_surer_lies_on_top_where_all_have_scores():
    sofa = Segment(SOFA.pixels, 1, 0.9)
    cat = Segment(CAT.pixels, 2, 0.8)
    assert (paint_segments(SIZE, [sofa, cat], BOTH) == 1).all()
    assert (paint_segments(SIZE, [sofa, CAT], BOTH) == 2).any()


@pytest.mark.parametrize('order', [1, -1])
def test_what_the_image_does_not_have_hides_nothing(order):
    """A false find lies below, however small or sure it is."""
    sofa, cat = (
        Segment(s.pixels, s.value, score)
        for s, score in ((SOFA, 0.2), (CAT, 0.9))
    )
    for segments in ([SOFA, CAT], [sofa, cat]):
        found = paint_segments(SIZE, segments[::order], [1])
        assert (found == 1).all()
    # It keeps its value where nothing else is, so that the veto counts it.
    crowd = box(SIZE, 0, 2, 0, 4, OPEN)
    found = paint_segments(SIZE, [CAT, crowd], [1])
    assert found.tolist() == [[-1, 2, 2, -1], [-1] * 4]


def test_open_segments_lie_below():
    crowd = box(SIZE, 0, 2, 2, 4, OPEN)
    found = paint_segments(SIZE, [CAT, crowd], BOTH)
    assert found.tolist() == [[0, 2, 2, -1], [0, 0, -1, -1]]


def test_sizes():
    check_size((6, 8), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
    with pytest.raises(ValueError, match=r'a.png is 6 x 7 .*12 x 16\.$'):
        check_size((6, 7), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
    with pytest.raises(ValueError, match='made without the EXIF rotation'):
        check_size((16, 12), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
