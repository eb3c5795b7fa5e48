import numpy as np
import pytest
from PIL import ImageDraw

from mmseg_weakclip.common.overlay import (
    class_shares,
    paint_frame,
    paint_overlay,
)

IMAGE = np.full((40, 30, 3), 100, np.uint8)
COLORS = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
NAMES = ['one', 'two', 'three']


@pytest.fixture
def mask():
    mask = np.full((40, 30), 255, np.uint8)
    mask[:10] = 1
    mask[10:30] = 2
    return mask


def test_shares(mask):
    assert class_shares(mask, 3).tolist() == [0, 0.25, 0.5]


def test_blends_what_has_a_class(mask):
    canvas = np.asarray(paint_overlay(IMAGE, mask, NAMES, COLORS, 0.5))
    assert (canvas[:10, :30] == [50, 150, 50]).all()
    assert (canvas[10:30, :30] == [50, 50, 150]).all()
    assert (canvas[30:40, :30] == 100).all()
    assert (IMAGE == 100).all()


def test_legend_names_what_is_there(mask):
    canvas = np.asarray(paint_overlay(IMAGE, mask, NAMES, COLORS))
    legend = canvas[:, 30:].reshape(-1, 3)
    colors = {tuple(color) for color in legend.tolist()}
    assert {(0, 200, 0), (0, 0, 200)} <= colors
    assert (200, 0, 0) not in colors
    # The largest first.
    rows = [
        np.argwhere((canvas[:, 30:] == COLORS[i]).all(-1))[0, 0]
        for i in (2, 1)
    ]
    assert rows[0] < rows[1]


def test_more_classes_than_rows_make_it_taller():
    mask = np.arange(1200).reshape(40, 30).astype(np.uint8) % 20
    colors = [[i, i, i] for i in range(20)]
    canvas = paint_overlay(
        IMAGE, mask, [f'class {i}' for i in range(20)], colors
    )
    assert canvas.height > 20 * 13


def test_nothing_to_paint():
    mask = np.full((40, 30), 255, np.uint8)
    canvas = np.asarray(paint_overlay(IMAGE, mask, NAMES, COLORS))
    assert (canvas[:, :30] == 100).all()


def test_bad_input(mask):
    with pytest.raises(ValueError, match=r'got \(40, 30\) and \(20, 30\)'):
        paint_overlay(IMAGE, mask[:20], NAMES, COLORS)
    with pytest.raises(ValueError, match='3 names need as many colors, got 2'):
        paint_overlay(IMAGE, mask, NAMES, COLORS[:2])


def test_frame_keeps_its_size():
    """Colours below, the legend in the corner, in the order of ids."""
    image = np.full((300, 400, 3), 100, np.uint8)
    mask = np.full((300, 400), 255, np.uint8)
    mask[:, 300:] = 0
    mask[:, 150:300] = 2
    frame = paint_frame(image, mask, NAMES, COLORS, 0.5)
    assert frame.shape == image.shape
    assert frame.dtype == np.uint8
    assert (frame[:, 300:] == [150, 50, 50]).all()
    assert (frame[200:, :150] == 100).all()
    assert (image == 100).all()
    rows = [
        np.argwhere((frame[:, :150] == color).all(-1))[:, 0]
        for color in COLORS
    ]
    assert len(rows[0]) == len(rows[2]) > 0
    assert rows[0].max() < rows[2].min()
    assert not len(rows[1])


def test_frame_grows_its_legend():
    heights = []
    for scale in (1, 3):
        image = np.full((300 * scale, 400 * scale, 3), 100, np.uint8)
        mask = np.zeros((300 * scale, 400 * scale), np.uint8)
        frame = paint_frame(image, mask, NAMES, COLORS, 0.0)
        heights.append(np.argwhere((frame != 100).any(-1))[:, 0].max() + 1)
    assert heights[1] / heights[0] == pytest.approx(3, rel=0.1)


def test_small_frame_counts_what_it_leaves_out(monkeypatch):
    drawn = []
    text = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        'text',
        lambda self, xy, line, **rest: (
            drawn.append(line),
            text(self, xy, line, **rest),
        ),
    )
    # 40 pixels have room for two lines; the largest class gets one of them.
    mask = np.zeros((40, 30), np.uint8)
    mask[:, 10:16] = 1
    mask[:, 16:] = 2
    frame = paint_frame(IMAGE, mask, NAMES, COLORS)
    assert frame.shape == IMAGE.shape
    assert drawn == ['three', '+ 2']


def test_empty_frame_is_the_image():
    mask = np.full((40, 30), 255, np.uint8)
    assert np.array_equal(paint_frame(IMAGE, mask, NAMES, COLORS), IMAGE)
    with pytest.raises(ValueError, match='3 names need as many colors, got 2'):
        paint_frame(IMAGE, mask, NAMES, COLORS[:2])
