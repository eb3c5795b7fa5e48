import numpy as np
import pytest

from mmseg_weakclip.apps.wsss.outside.source import (
    OPEN,
    Segment,
    check_size,
    paint,
)


def box(size, top, bottom, left, right, value, score=None):
    pixels = np.zeros(size, bool)
    pixels[top:bottom, left:right] = True
    return Segment(pixels, value, score)


SIZE = (2, 4)
SOFA = box(SIZE, 0, 2, 0, 4, 1)
CAT = box(SIZE, 0, 1, 1, 3, 2)


@pytest.mark.parametrize('order', [1, -1])
def test_the_smaller_lies_on_top(order):
    found = paint(SIZE, [SOFA, CAT][::order])
    assert found.tolist() == [[1, 2, 2, 1], [1, 1, 1, 1]]


def test_the_surer_lies_on_top_where_all_have_scores():
    sofa = Segment(SOFA.pixels, 1, 0.9)
    assert (paint(SIZE, [sofa, Segment(CAT.pixels, 2, 0.8)]) == 1).all()
    assert (paint(SIZE, [sofa, CAT]) == 2).any()


def test_open_segments_lie_below():
    crowd = box(SIZE, 0, 2, 2, 4, OPEN)
    found = paint(SIZE, [CAT, crowd])
    assert found.tolist() == [[0, 2, 2, -1], [0, 0, -1, -1]]


def test_sizes():
    check_size((6, 8), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
    with pytest.raises(ValueError, match=r'a.png is 6 x 7 .*12 x 16\.$'):
        check_size((6, 7), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
    with pytest.raises(ValueError, match='made without the EXIF rotation'):
        check_size((16, 12), 'a.png', 'a.jpg', [(12, 16), (6, 8)])
